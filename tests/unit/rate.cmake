unit_test(rate SEES broker)
unit_test(siphash SEES broker)
unit_test(tune SEES broker)
