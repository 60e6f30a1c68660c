unit_test(heap SEES broker)
