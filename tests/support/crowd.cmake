# Many readers of event streams, and who publishes what they count. No layer of the broker.
set(crowd_shared
  ${CMAKE_CURRENT_LIST_DIR}/hammer/request.c ${CMAKE_CURRENT_LIST_DIR}/hammer/pulsar.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/payload.c ${CMAKE_CURRENT_LIST_DIR}/hammer/opt.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/net.c ${CMAKE_CURRENT_LIST_DIR}/hammer/reply.c
  ${CMAKE_CURRENT_LIST_DIR}/hammer/figures.c)
add_executable(crowd
  ${CMAKE_CURRENT_LIST_DIR}/crowd/crowd.c ${CMAKE_CURRENT_LIST_DIR}/crowd/scan.c
  ${CMAKE_CURRENT_LIST_DIR}/crowd/tally.c ${crowd_shared})
add_executable(herald ${CMAKE_CURRENT_LIST_DIR}/crowd/herald.c ${crowd_shared})
foreach(program crowd herald)
  target_include_directories(${program} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/hammer)
endforeach()
