unit_test(procmem SEES broker)
