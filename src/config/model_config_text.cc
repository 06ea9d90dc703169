#include "config/model_config_text.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "tensorflow_serving/config/model_server_config.pb.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kModelType = "model_type";
constexpr std::string_view kModelKind = "model_kind";
constexpr std::string_view kConfig = "config";
constexpr std::string_view kCustomModelConfig = "custom_model_config";

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsQuote(char c) { return c == '"' || c == '\''; }
bool IsOfWord(char c) { return IsLetter(c) || IsDigit(c) || c == '_'; }
bool IsOfNumber(char c) { return IsOfWord(c) || c == '.' || c == '-' || c == '+'; }

// Walks over the tokens of the text and copies it, but for what is rewritten.
class Rewriter {
 public:
  explicit Rewriter(std::string_view text) : text_(text) {}

  std::string Rewrite() {
    std::string_view last_word;  // the field that a '{' belongs to
    while (at_ < text_.size()) {
      SkipToToken();
      const size_t start = at_;
      if (start == text_.size()) break;
      const char c = text_[start];
      if (IsQuote(c)) {
        SkipString();
      } else if (IsOfWord(c)) {
        SkipWhile(IsOfWord);
        last_word = text_.substr(start, at_ - start);
        RewriteField(start, last_word);
      } else {
        ++at_;
        if (c == '{' || c == '<') fields_.push_back(last_word);
        if ((c == '}' || c == '>') && !fields_.empty()) fields_.pop_back();
      }
    }
    out_ += text_.substr(copied_);
    return std::move(out_);
  }

 private:
  template <typename Predicate>
  void SkipWhile(Predicate predicate) {
    while (at_ < text_.size() && predicate(text_[at_])) ++at_;
  }
  // Past white space and comments.
  void SkipToToken() {
    for (SkipWhile(IsSpace); at_ < text_.size() && text_[at_] == '#'; SkipWhile(IsSpace)) at_ = std::min(text_.find('\n', at_), text_.size());
  }
  // Behind the closing quote, or to the end of the line, which ends a string too.
  void SkipString() {
    const char quote = text_[at_];
    for (++at_; at_ < text_.size() && text_[at_] != '\n'; ++at_) {
      if (text_[at_] == quote) {
        ++at_;
        return;
      }
      if (text_[at_] == '\\') ++at_;
    }
    at_ = std::min(at_, text_.size());
  }
  bool SkipColon() {
    SkipToToken();
    if (at_ == text_.size() || text_[at_] != ':') return false;
    ++at_;
    SkipToToken();
    return at_ < text_.size();
  }

  // Behind the word `field`, which begins at `start`.
  void RewriteField(size_t start, std::string_view field) {
    const size_t behind = at_;
    // Of a model, and not of the whole configuration, which has a field of this name too.
    const bool is_of_model = fields_.size() > 1 && fields_.back() == kCustomModelConfig && fields_[fields_.size() - 2] == kConfig;
    const bool is_parameter = is_of_model && tensorflow::serving::CustomModelConfig::descriptor()->FindFieldByName(std::string(field)) == nullptr;
    if (!SkipColon() || (!is_parameter && field != kModelType)) {
      at_ = behind;
    } else if (!is_parameter) {
      if (IsQuote(text_[at_])) Replace(start, behind, std::string(kModelKind));
    } else if (const std::string value = TakeScalar(); !value.empty()) {
      Replace(start, at_, fmt::format("parameters {{ key: \"{}\" value: {} }}", field, value));
    }
  }

  // The value here, in quotes; nothing if it is none that has one line.
  std::string TakeScalar() {
    const size_t start = at_;
    if (!IsQuote(text_[at_])) {
      SkipWhile(IsOfNumber);
      return at_ == start ? "" : fmt::format("\"{}\"", text_.substr(start, at_ - start));
    }
    size_t end = start;
    while (at_ < text_.size() && IsQuote(text_[at_])) {  // strings one behind the other are one
      SkipString();
      end = at_;
      SkipToToken();
    }
    at_ = end;
    return std::string(text_.substr(start, end - start));
  }

  void Replace(size_t start, size_t end, const std::string& by) {
    out_.append(text_.substr(copied_, start - copied_)).append(by);
    copied_ = end;
  }

  const std::string_view text_;
  std::string out_;
  size_t at_ = 0;
  size_t copied_ = 0;
  std::vector<std::string_view> fields_;  // those whose messages are open
};

static_assert(kModelType.size() == kModelKind.size(), "one takes the other's place without moving what follows");

}  // namespace

std::string ReadableModelConfig(std::string_view text) { return Rewriter(text).Rewrite(); }

}  // namespace tflite_serving
