unit_test(store SEES storage)
unit_test(store_limits SEES storage)
target_link_libraries(test_store_limits PRIVATE PkgConfig::LMDB) # writes a foreign version
