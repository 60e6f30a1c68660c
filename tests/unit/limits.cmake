unit_test(limits SEES broker)
