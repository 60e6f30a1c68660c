unit_test(quota SEES broker)
