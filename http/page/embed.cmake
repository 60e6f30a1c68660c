# cmake -DFOLDER=http/page -DNAMES=index.html,main.js -DTABLE=page_files -DOUT=page_files.c
#       -P embed.cmake
# The files as C arrays in the order given (embedded.h), each with its type, by the end of its name,
# and a tag that is a hash of its bytes.
set(type_html "text/html; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_svg "image/svg+xml")
set(type_json "application/json")

string(REPLACE "," ";" names "${NAMES}")
string(REPEAT "." 90 line) # 18 bytes: 0x00,
set(arrays "")
set(rows "")
set(n 0)
foreach(name IN LISTS names)
  string(REGEX REPLACE ".*\\." "" ending "${name}")
  if(NOT DEFINED type_${ending})
    message(FATAL_ERROR "${name}: no content type is known for .${ending}")
  endif()
  file(READ "${FOLDER}/${name}" hex HEX)
  file(SHA256 "${FOLDER}/${name}" hash)
  string(SUBSTRING "${hash}" 0 20 tag)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
  string(APPEND arrays "static const unsigned char file_${n}[] = {\n${bytes}\n};\n\n")
  string(APPEND rows "    { \"${name}\", \"${type_${ending}}\", \"\\\"${tag}\\\"\",\n"
                     "      file_${n}, sizeof file_${n} },\n")
  math(EXPR n "${n} + 1")
endforeach()

file(WRITE "${OUT}" "/* Made by http/page/embed.cmake. */
#include \"embedded.h\"

${arrays}const struct embedded_file ${TABLE}[] = {
${rows}    { 0 },
};
")
