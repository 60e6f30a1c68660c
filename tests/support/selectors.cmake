# For the test that compares topic selectors with a regular expression.
add_executable(selectors ${CMAKE_CURRENT_LIST_DIR}/selectors.c)
target_link_libraries(selectors PRIVATE http)
