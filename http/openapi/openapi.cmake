# openapi.yaml as JSON as a part of the http layer: what GET /openapi.json answers.
set(openapi_folder ${CMAKE_BINARY_DIR}/openapi)
set(openapi_made ${openapi_folder}/openapi_files.c)
file(MAKE_DIRECTORY ${openapi_folder})

add_executable(yaml_json http/openapi/yaml_json.c)
add_custom_command(
  OUTPUT ${openapi_made}
  COMMAND yaml_json ${CMAKE_SOURCE_DIR}/http/openapi.yaml ${openapi_folder}/openapi.json
  COMMAND ${CMAKE_COMMAND} -DFOLDER=${openapi_folder} -DNAMES=openapi.json
          -DTABLE=openapi_files -DOUT=${openapi_made} -P ${CMAKE_SOURCE_DIR}/http/page/embed.cmake
  DEPENDS yaml_json ${CMAKE_SOURCE_DIR}/http/openapi.yaml
          ${CMAKE_SOURCE_DIR}/http/page/embed.cmake
  VERBATIM)
target_sources(http PRIVATE ${openapi_made})
