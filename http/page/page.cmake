# The page's files as a part of the http layer; the first is the page itself.
set(page_folder ${CMAKE_SOURCE_DIR}/http/page)
set(page_made ${CMAKE_BINARY_DIR}/page_files.c)
file(GLOB page_names RELATIVE ${page_folder} CONFIGURE_DEPENDS ${page_folder}/*.css
     ${page_folder}/*.js ${page_folder}/*.svg
     ${page_folder}/*.html)
list(REMOVE_ITEM page_names index.html)
list(PREPEND page_names index.html)
list(TRANSFORM page_names PREPEND ${page_folder}/ OUTPUT_VARIABLE page_paths)
list(JOIN page_names "," page_names)

add_custom_command(
  OUTPUT ${page_made}
  COMMAND ${CMAKE_COMMAND} -DFOLDER=${page_folder} -DNAMES=${page_names}
          -DTABLE=page_files -DOUT=${page_made} -P ${page_folder}/embed.cmake
  DEPENDS ${page_paths} ${page_folder}/embed.cmake
  VERBATIM)
target_sources(http PRIVATE ${page_made})
