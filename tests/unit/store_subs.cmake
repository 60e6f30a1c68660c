unit_test(store_subs SEES storage)
unit_test(sub_record SEES storage)
