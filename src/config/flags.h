// The command line: `tflite_model_server --model_base_path=/models/digits --rest_api_port=8501`.
//
// The syntax is TensorFlow Serving's, so that what starts the original starts this server:
//
//   --name=value    two dashes and '='; an empty value is a value
//   --name          a bool flag: the same as --name=true; otherwise --name=true or --name=false and nothing else
//   the last of a repeated flag counts (the Docker entrypoint's flags come first, the user's after)
//
// Where the original prints the usage and starts all the same (unknown flag, stray word), this server refuses: a typing error must not start a
// server with defaults. Every flag of the original is known and is one of
//
//   supported       it sets its field of ServerOptions
//   ignored         it cannot mean anything here, or only tunes what this version does not do: accepted, with a notice for the log
//   not supported   it asks for something that is not there; an error, unless its value is the original's default
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "config/server_options.h"

namespace tflite_serving {

struct ParsedFlags {
  enum class Action { kServe, kShowHelp, kShowVersion };

  Action action = Action::kServe;
  ServerOptions options;             // checked (CheckServerOptions) if the action is kServe
  std::vector<std::string> notices;  // to be logged as warnings: "--mixed_precision has no effect: …" for each ignored flag that was given, and
                                     // what another flag's value means that may surprise
};

// Reads `arguments`, which are main's without the program's name. --help, -h and --version win over every error on the same line, and the last of
// them counts. Errors are INVALID_ARGUMENT, or UNIMPLEMENTED for a flag that is not supported, and read like
//
//   --port=abc: expected an integer between 0 and 65535
//   --port: no value; write --port=8500
//   unknown flag --rest_api_prot; did you mean --rest_api_port?
//   --use_alts_credentials: not supported: ALTS works only inside Google's cloud
StatusOr<ParsedFlags> ParseFlags(std::span<const char* const> arguments);

// What --help prints: every flag with its default, type and purpose, in groups, each line ended.
std::string HelpText();

// What --version prints: one line, ended. `version` is this server's own.
std::string VersionText(std::string_view version);

}  // namespace tflite_serving
