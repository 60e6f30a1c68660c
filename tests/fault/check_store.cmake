add_executable(check_store ${CMAKE_CURRENT_LIST_DIR}/check_store.c)
target_link_libraries(check_store PRIVATE storage)
