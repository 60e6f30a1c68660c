unit_test(rate SEES broker)
unit_test(siphash SEES broker)
