unit_test(store_subs SEES storage)
