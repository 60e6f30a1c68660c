unit_test(store SEES storage)
unit_test(store_expiry SEES storage)
unit_test(store_blobs SEES storage)
unit_test(store_receipts SEES storage)
unit_test(store_random SEES storage)
unit_test(store_limits SEES storage LINKS PkgConfig::LMDB) # it writes foreign files
