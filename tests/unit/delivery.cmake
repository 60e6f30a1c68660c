unit_test(delivery SEES broker)
