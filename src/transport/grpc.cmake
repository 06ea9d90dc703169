# The gRPC half of the transport. Not part of a TSan build: libgrpc and the Abseil under it are not instrumented and give false races.
find_package(gRPC CONFIG REQUIRED)
tfs_library(transport_grpc
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/grpc_server.cc
  DEPS base telemetry transport_tcp
  PRIVATE_DEPS gRPC::grpc++ gRPC::grpc++_reflection)
tfs_test(transport_grpc_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/grpc_server_test.cc DEPS transport_grpc gRPC::grpc++)
