unit_test(quota SEES broker)
unit_test(namespace_change SEES broker)
unit_test(places SEES broker)
