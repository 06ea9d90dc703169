// Listening Unix sockets.
#pragma once

#include <string>

#include "base/status.h"
#include "base/unique_fd.h"

namespace tflite_serving {

// A non-blocking socket that listens at `path`. A socket file that nobody listens on is replaced, and nothing else is. Whoever closes the socket
// removes the file. Errors name it: ALREADY_EXISTS "cannot listen on unix:/run/grpc.sock: Address already in use".
StatusOr<UniqueFd> ListenOnUnixSocket(const std::string& path);

// Removes it, if `path` is not empty; what goes wrong is logged.
void RemoveUnixSocket(const std::string& path);

}  // namespace tflite_serving
