# What the scenarios need beside the load client: a player of client scripts, a slow disk,
# and the means to take a protection away.
add_executable(play
  ${CMAKE_CURRENT_LIST_DIR}/play/play.c ${CMAKE_CURRENT_LIST_DIR}/play/script.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/opt.c ${CMAKE_CURRENT_LIST_DIR}/hammer/net.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/reply.c ${CMAKE_CURRENT_LIST_DIR}/hammer/figures.c)
target_include_directories(play PRIVATE ${CMAKE_CURRENT_LIST_DIR}/hammer)

# Preloaded into a program that may be built with any sanitizer; never built with one itself.
foreach(shim slowdisk disarm tunemalloc)
  add_library(${shim} MODULE ${CMAKE_CURRENT_LIST_DIR}/${shim}.c)
  set_target_properties(${shim} PROPERTIES PREFIX "")
  target_compile_options(${shim} PRIVATE -fno-sanitize=all)
  target_link_options(${shim} PRIVATE -fno-sanitize=all)
  target_link_libraries(${shim} PRIVATE ${CMAKE_DL_LIBS} Threads::Threads)
endforeach()

add_executable(keep
  ${CMAKE_CURRENT_LIST_DIR}/keep/keep.c ${CMAKE_CURRENT_LIST_DIR}/keep/kept.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/request.c ${CMAKE_CURRENT_LIST_DIR}/hammer/pulsar.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/payload.c ${CMAKE_CURRENT_LIST_DIR}/hammer/opt.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/net.c ${CMAKE_CURRENT_LIST_DIR}/hammer/reply.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/figures.c)
target_include_directories(keep PRIVATE ${CMAKE_CURRENT_LIST_DIR}/hammer)
