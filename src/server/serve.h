// The server as a process: from its flags to its exit status.
#pragma once

#include "base/status.h"
#include "config/server_options.h"

namespace tflite_serving {

// Serves until SIGTERM or SIGINT; then finishes what is in flight, and a second one of these, unless it is the same within half a second, ends the
// process at once, with 128 and the signal's number. SIGHUP: Server::Reload. Returns the exit status. To be called before there are any threads.
int Serve(const ServerOptions& options);

// Says on standard error why nothing was started, in the original's words, which scripts look for; `hint` is a line behind it. Returns EXIT_FAILURE.
int RefuseToStart(const Status& status, const char* hint = "");

}  // namespace tflite_serving
