unit_test(store_namespaces SEES storage)
