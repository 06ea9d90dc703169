#include "config/flags.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "config/flag_table.h"
#include "config/nearest_name.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kDashes = "--";

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

enum class FlagType { kBool, kInteger, kNumber, kText, kLogLevel, kChannelArguments };
using FlagValue = std::variant<bool, int64_t, double, std::string, LogLevel, GrpcChannelArguments>;

constexpr std::array<std::pair<std::string_view, LogLevel>, 4> kLogLevels = {
    {{"debug", LogLevel::kDebug}, {"info", LogLevel::kInfo}, {"warning", LogLevel::kWarning}, {"error", LogLevel::kError}}};

FlagType TypeOf(const PlainFlagValue& value) {
  return std::visit(Overloaded{[](bool) { return FlagType::kBool; }, [](int64_t) { return FlagType::kInteger; },
                               [](double) { return FlagType::kNumber; }, [](std::string_view) { return FlagType::kText; }},
                    value);
}

FlagType TypeOf(const Flag& flag) {
  return std::visit(Overloaded{[](bool ServerOptions::*) { return FlagType::kBool; },                              //
                               [](int32_t ServerOptions::*) { return FlagType::kInteger; },                        //
                               [](int64_t ServerOptions::*) { return FlagType::kInteger; },                        //
                               [](std::string ServerOptions::*) { return FlagType::kText; },                       //
                               [](LogLevel ServerOptions::*) { return FlagType::kLogLevel; },                      //
                               [](GrpcChannelArguments ServerOptions::*) { return FlagType::kChannelArguments; },  //
                               [](const ActionFlag&) { return FlagType::kBool; },                                  //
                               [](const IgnoredFlag& ignored) { return TypeOf(ignored.original_default); },        //
                               [](const NotSupportedFlag& refused) { return TypeOf(refused.original_default); }},
                    flag.target);
}

std::string ExpectedForm(const Flag& flag) {
  switch (TypeOf(flag)) {
    case FlagType::kBool:
      return "true or false";
    case FlagType::kInteger:
      if (flag.range == FlagRange{}) return "an integer";
      return fmt::format("an integer between {} and {}", flag.range.min, flag.range.max);
    case FlagType::kNumber:
      return "a number";
    case FlagType::kText:
      return "text";
    case FlagType::kLogLevel:
      return "debug, info, warning or error";
    case FlagType::kChannelArguments:
      break;
  }
  return "key=value,key=value";
}

// All of `text` as a number, or nothing.
template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<GrpcChannelArguments> ParseChannelArguments(std::string_view text) {
  GrpcChannelArguments arguments;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view entry = text.substr(0, comma);
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos || equals == 0) return std::nullopt;
    const std::string_view value = entry.substr(equals + 1);
    GrpcChannelArgument& argument =
        arguments.emplace_back(GrpcChannelArgument{.key = std::string(entry.substr(0, equals)), .value = std::string(value)});
    if (const std::optional<int32_t> number = ParseNumber<int32_t>(value)) argument.value = *number;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return std::nullopt;  // a comma with nothing after it
  }
  return arguments;
}

// `text` as a value of the flag's type and range, or nothing if it is not of the expected form.
std::optional<FlagValue> ParseValue(const Flag& flag, std::string_view text) {
  switch (TypeOf(flag)) {
    case FlagType::kBool:
      if (text == "true") return true;
      if (text == "false") return false;
      return std::nullopt;
    case FlagType::kInteger: {
      const std::optional<int64_t> number = ParseNumber<int64_t>(text);
      if (!number || *number < flag.range.min || *number > flag.range.max) return std::nullopt;
      return *number;
    }
    case FlagType::kNumber:
      return ParseNumber<double>(text);
    case FlagType::kText:
      return std::string(text);
    case FlagType::kLogLevel:
      for (const auto& [name, level] : kLogLevels) {
        if (text == name) return level;
      }
      return std::nullopt;
    case FlagType::kChannelArguments:
      break;
  }
  return ParseChannelArguments(text);
}

// Whether `value` asks a flag that is not supported for nothing.
bool AsksForNothing(const NotSupportedFlag& flag, const FlagValue& value) {
  return std::visit(Overloaded{[&](bool original) { return std::get<bool>(value) == original; },
                               [&](int64_t original) { return std::get<int64_t>(value) == original; },
                               [&](double original) { return std::get<double>(value) == original; },
                               [&](std::string_view original) { return std::get<std::string>(value) == original; }},
                    flag.original_default);
}

// One command line on its way to ParsedFlags.
class Parser {
 public:
  explicit Parser(std::span<const char* const> arguments)
      : arguments_(arguments), table_(FlagTable()), ignored_(table_.size(), false), refusals_(table_.size()) {}

  StatusOr<ParsedFlags> Parse() {
    Status first_error;
    for (size_t i = 0; i < arguments_.size(); ++i) {
      const Status status = ReadArgument(i);
      if (first_error.ok()) first_error = status;
    }
    if (parsed_.action != ParsedFlags::Action::kServe) return std::move(parsed_);
    TFLS_RETURN_IF_ERROR(first_error);
    for (const Status& refusal : refusals_) TFLS_RETURN_IF_ERROR(refusal);
    TFLS_RETURN_IF_ERROR(CheckServerOptions(parsed_.options));
    for (size_t row = 0; row < table_.size(); ++row) {
      if (ignored_[row]) parsed_.notices.push_back(fmt::format("--{} has no effect: {}", table_[row].name, table_[row].help));
    }
    if (parsed_.options.enable_per_model_batching_parameters && !parsed_.options.enable_batching) {
      parsed_.notices.emplace_back("--enable_per_model_batching_parameters has no effect: --enable_batching is not given");
    }
    return std::move(parsed_);
  }

 private:
  Status ReadArgument(size_t index);
  // The row of `name`, or the table's size.
  size_t FindRow(std::string_view name) const;
  void Store(size_t row, const FlagValue& value);

  Status NoValue(const Flag& flag, size_t index) const;
  Status UnknownFlag(std::string_view name) const;
  Status NotAFlag(size_t index) const;

  const std::span<const char* const> arguments_;
  const std::span<const Flag> table_;
  ParsedFlags parsed_;
  std::vector<bool> ignored_;     // by row: given, and of no effect
  std::vector<Status> refusals_;  // by row: not supported, as last given
};

size_t Parser::FindRow(std::string_view name) const { return static_cast<size_t>(std::ranges::find(table_, name, &Flag::name) - table_.begin()); }

Status Parser::ReadArgument(size_t index) {
  const std::string_view argument = arguments_[index];
  if (argument == "-h") {
    parsed_.action = ParsedFlags::Action::kShowHelp;
    return OkStatus();
  }
  if (!argument.starts_with(kDashes)) return NotAFlag(index);
  const size_t equals = argument.find('=');
  const std::string_view name = argument.substr(kDashes.size(), equals == std::string_view::npos ? equals : equals - kDashes.size());
  const size_t row = FindRow(name);
  if (row == table_.size()) return UnknownFlag(name);

  const Flag& flag = table_[row];
  std::string_view text = "true";
  if (equals != std::string_view::npos) {
    text = argument.substr(equals + 1);
  } else if (TypeOf(flag) != FlagType::kBool) {
    return NoValue(flag, index);
  }
  const std::optional<FlagValue> value = ParseValue(flag, text);
  if (!value) return InvalidArgumentError(fmt::format("--{}={}: expected {}", name, text, ExpectedForm(flag)));
  Store(row, *value);
  return OkStatus();
}

void Parser::Store(size_t row, const FlagValue& value) {
  ServerOptions& options = parsed_.options;
  const Flag& flag = table_[row];
  std::visit(Overloaded{[&](bool ServerOptions::* field) { options.*field = std::get<bool>(value); },
                        [&](int32_t ServerOptions::* field) { options.*field = static_cast<int32_t>(std::get<int64_t>(value)); },
                        [&](int64_t ServerOptions::* field) { options.*field = std::get<int64_t>(value); },
                        [&](std::string ServerOptions::* field) { options.*field = std::get<std::string>(value); },
                        [&](LogLevel ServerOptions::* field) { options.*field = std::get<LogLevel>(value); },
                        [&](GrpcChannelArguments ServerOptions::* field) { options.*field = std::get<GrpcChannelArguments>(value); },
                        [&](const ActionFlag& target) {
                          if (std::get<bool>(value)) parsed_.action = target.action;
                        },
                        [&](const IgnoredFlag&) { ignored_[row] = true; },
                        [&](const NotSupportedFlag& target) {
                          refusals_[row] =
                              AsksForNothing(target, value) ? OkStatus() : UnimplementedError(fmt::format("--{}: {}", flag.name, target.why));
                        }},
             flag.target);
}

Status Parser::NoValue(const Flag& flag, size_t index) const {
  const std::string_view next = index + 1 < arguments_.size() ? arguments_[index + 1] : "";
  if (!next.empty() && !next.starts_with(kDashes)) {
    return InvalidArgumentError(fmt::format("--{}: no value; write --{}={}", flag.name, flag.name, next));
  }
  return InvalidArgumentError(fmt::format("--{}: no value; write --{}=VALUE, where VALUE is {}", flag.name, flag.name, ExpectedForm(flag)));
}

Status Parser::UnknownFlag(std::string_view name) const {
  std::vector<std::string_view> names;
  for (const Flag& flag : table_) names.push_back(flag.name);
  if (const auto nearest = NearestName(name, names)) {
    return InvalidArgumentError(fmt::format("unknown flag --{}; did you mean --{}?", name, *nearest));
  }
  return InvalidArgumentError(fmt::format("unknown flag --{}; --help lists all flags", name));
}

Status Parser::NotAFlag(size_t index) const {
  const std::string_view argument = arguments_[index];
  if (argument.size() > 1 && argument.starts_with('-')) {
    return InvalidArgumentError(fmt::format("{}: flags start with two dashes; write -{}", argument, argument));
  }
  const std::string_view previous = index > 0 ? arguments_[index - 1] : "";
  const bool after_bool =
      previous.starts_with(kDashes) && (argument == "true" || argument == "false") && FindRow(previous.substr(kDashes.size())) != table_.size();
  if (after_bool) return InvalidArgumentError(fmt::format("unexpected argument {}; write {}={}", argument, previous, argument));
  return InvalidArgumentError(fmt::format("unexpected argument \"{}\"; flags are written --name=value", argument));
}

// --- help ---

struct HelpGroup {
  FlagGroup group;
  std::string_view heading;
};
constexpr std::array<HelpGroup, 13> kHelpGroups = {{{FlagGroup::kGrpc, "gRPC"},
                                                    {FlagGroup::kRest, "REST"},
                                                    {FlagGroup::kNetwork, "gRPC and REST"},
                                                    {FlagGroup::kModel, "Models"},
                                                    {FlagGroup::kLoading, "Loading models"},
                                                    {FlagGroup::kRunning, "Running models"},
                                                    {FlagGroup::kCustom, "Custom servables (model_platform: \"custom\")"},
                                                    {FlagGroup::kBatching, "Batching"},
                                                    {FlagGroup::kMetrics, "Metrics, health and traces"},
                                                    {FlagGroup::kAccess, "Access"},
                                                    {FlagGroup::kProcess, "Process"},
                                                    {FlagGroup::kIgnored, "Flags of TensorFlow Serving that have no effect here"},
                                                    {FlagGroup::kNotSupported, "Flags of TensorFlow Serving that are not supported"}}};

std::string ShowText(std::string_view text) { return text.empty() ? "\"\"" : std::string(text); }
std::string ShowPlain(const PlainFlagValue& value) {
  return std::visit(
      Overloaded{[](std::string_view text) { return ShowText(text); }, [](auto bool_or_number) { return fmt::format("{}", bool_or_number); }}, value);
}
std::string ShowLevel(LogLevel level) {
  return std::string(std::ranges::find(kLogLevels, level, &std::pair<std::string_view, LogLevel>::second)->first);
}

// "--port=8500", with the default; "--help".
std::string Usage(const Flag& flag) {
  const ServerOptions defaults;
  const std::string value =
      std::visit(Overloaded{[&](std::string ServerOptions::* field) { return ShowText(defaults.*field); },
                            [&](LogLevel ServerOptions::* field) { return ShowLevel(defaults.*field); },
                            [&](GrpcChannelArguments ServerOptions::*) { return ShowText(""); }, [&](const ActionFlag&) { return std::string(); },
                            [&](const IgnoredFlag& ignored) { return ShowPlain(ignored.original_default); },
                            [&](const NotSupportedFlag& refused) { return ShowPlain(refused.original_default); },
                            [&](auto bool_or_number) { return fmt::format("{}", defaults.*bool_or_number); }},
                 flag.target);
  return fmt::format("--{}{}{}", flag.name, value.empty() ? "" : "=", value);
}

std::string_view TypeName(const Flag& flag) {
  static constexpr std::array<std::string_view, 6> kNames = {"bool", "integer", "number", "text", "level", "list"};
  return kNames[static_cast<size_t>(TypeOf(flag))];
}

}  // namespace

StatusOr<ParsedFlags> ParseFlags(std::span<const char* const> arguments) { return Parser(arguments).Parse(); }

std::string HelpText() {
  std::string text =
      "Serves .tflite models over TensorFlow Serving's REST and gRPC API.\n\n"
      "usage: tflite_model_server --model_base_path=PATH [--name=value ...]\n"
      "       tflite_model_server --model_config_file=FILE [--name=value ...]\n"
      "       tflite_model_server inspect FILE\n"
      "       tflite_model_server bench FILE [--seconds=0.3] [--operators]\n"
      "       tflite_model_server api_key NAME SCOPES\n"
      "       tflite_model_server probe [URL]\n\n"
      "Flags are shown with their defaults. A bool may be written --name for --name=true. The last of a repeated flag counts.\n";
  for (const auto& [group, heading] : kHelpGroups) {
    std::vector<const Flag*> flags;
    size_t width = 0;
    for (const Flag& flag : FlagTable()) {
      if (flag.group != group) continue;
      flags.push_back(&flag);
      width = std::max(width, Usage(flag).size());
    }
    text += fmt::format("\n{}:\n", heading);
    for (const Flag* flag : flags) text += fmt::format("  {:<{}}  {:<7}  {}\n", Usage(*flag), width, TypeName(*flag), flag->help);
  }
  return text;
}

std::string VersionText(std::string_view version) { return fmt::format("tflite-serving {} (the API of TensorFlow Serving 2.20)\n", version); }

}  // namespace tflite_serving
