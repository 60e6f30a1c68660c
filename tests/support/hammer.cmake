# The load client: no library, no layer of the broker.
add_executable(hammer
  ${CMAKE_CURRENT_LIST_DIR}/hammer/hammer.c ${CMAKE_CURRENT_LIST_DIR}/hammer/opt.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/net.c ${CMAKE_CURRENT_LIST_DIR}/hammer/reply.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/figures.c ${CMAKE_CURRENT_LIST_DIR}/hammer/payload.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/publish.c ${CMAKE_CURRENT_LIST_DIR}/hammer/request.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/pulsar.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/park.c ${CMAKE_CURRENT_LIST_DIR}/hammer/slow.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/verify.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/consume.c)
target_link_libraries(hammer PRIVATE Threads::Threads)
