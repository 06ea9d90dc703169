// `tflite_model_server probe [URL]`: asks a server whether it is ready. For the image's HEALTHCHECK, and where there is no curl.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "config/server_options.h"

namespace tflite_serving {

// Whom to ask, and what.
struct ProbeTarget {
  std::string host = "127.0.0.1";
  std::string port = "8501";
  std::string socket_path;       // of a Unix socket, in place of both
  bool tls = false;              // whose certificate is not checked
  std::string path = "/readyz";  // empty: whether it takes connections is all that can be asked
};

// Runs the command if `arguments` (without the program's name) begin with it: its exit status, 0 if the server answers with 200 in time, otherwise 1.
// Without a URL it asks the server that is this container's first process, or whatever has port 8501.
std::optional<int> RunProbeCommand(std::span<const char* const> arguments);

// INVALID_ARGUMENT for what is not http[s]://HOST[:PORT][/PATH].
StatusOr<ProbeTarget> ParseProbeUrl(std::string_view url);
// Of a server that was started with these.
ProbeTarget ProbeTargetOf(const ServerOptions& options);
// Of the server with this command line, whose words end with NULs as /proc/PID/cmdline has them; an init may stand before it. Nothing: it is none.
std::optional<ProbeTarget> ProbeTargetOf(std::string_view command_line);

}  // namespace tflite_serving
