// The one list of all flags. flags.cc reads the command line by it and prints --help from it.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <variant>

#include "config/flags.h"
#include "config/server_options.h"

namespace tflite_serving {

// The headings of --help, in its order.
enum class FlagGroup { kGrpc, kRest, kNetwork, kModel, kLoading, kRunning, kCustom, kBatching, kMetrics, kAccess, kProcess, kIgnored, kNotSupported };

// A value of a flag that has no field in ServerOptions.
using PlainFlagValue = std::variant<bool, int64_t, double, std::string_view>;

// Where a flag's value goes, which also says its type.
struct ActionFlag {  // a bool that changes what the process does
  ParsedFlags::Action action;
};
struct IgnoredFlag {
  PlainFlagValue original_default;  // says the type; values are read, checked for their form and forgotten
};
struct NotSupportedFlag {
  PlainFlagValue original_default;  // accepted without a word, since it asks for nothing
  std::string_view why;             // the error for any other value
};
using FlagTarget = std::variant<bool ServerOptions::*, int32_t ServerOptions::*, int64_t ServerOptions::*, std::string ServerOptions::*,
                                LogLevel ServerOptions::*, GrpcChannelArguments ServerOptions::*, ActionFlag, IgnoredFlag, NotSupportedFlag>;

// Of an integer flag; both ends are allowed.
struct FlagRange {
  int64_t min = std::numeric_limits<int64_t>::min();
  int64_t max = std::numeric_limits<int64_t>::max();

  friend bool operator==(const FlagRange&, const FlagRange&) = default;
};

struct Flag {
  std::string_view name;  // without dashes
  FlagGroup group;
  FlagTarget target;
  std::string_view help;  // one line for --help, without a full stop; for an ignored flag, why it has no effect
  FlagRange range = {};   // within the type's own for an int32 field
};

// All rows, in the order of --help, grouped.
std::span<const Flag> FlagTable();

}  // namespace tflite_serving
