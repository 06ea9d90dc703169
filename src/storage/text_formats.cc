#include "storage/text_formats.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <pugixml.hpp>

#include "http_client/http_client.h"
#include "storage/location.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view Trim(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

bool LoadXml(std::string_view xml, pugi::xml_document& document) { return static_cast<bool>(document.load_buffer(xml.data(), xml.size())); }

bool IsLetterEqual(char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b)); }

// The value of the first attribute href in `html`, which then begins behind it; nothing: there is none.
std::optional<std::string_view> NextLink(std::string_view& html) {
  constexpr std::string_view kHref = "href=";
  const auto found = std::search(html.begin(), html.end(), kHref.begin(), kHref.end(), IsLetterEqual);
  if (found == html.end()) return std::nullopt;
  html.remove_prefix(static_cast<size_t>(found - html.begin()) + kHref.size());
  const bool is_quoted = html.starts_with('"') || html.starts_with('\'');
  const std::string_view end = is_quoted ? html.substr(0, 1) : std::string_view(" \t\r\n>");
  if (is_quoted) html.remove_prefix(1);
  const std::string_view link = html.substr(0, html.find_first_of(end));
  html.remove_prefix(link.size());
  return link;
}

std::string UnescapeHtml(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, char>, 5> kEntities = {
      {{"&amp;", '&'}, {"&#38;", '&'}, {"&#39;", '\''}, {"&#x27;", '\''}, {"&quot;", '"'}}};
  std::string plain;
  while (!text.empty()) {
    const auto entity = std::ranges::find_if(kEntities, [text](const auto& one) { return text.starts_with(one.first); });
    plain.push_back(entity == kEntities.end() ? text.front() : entity->second);
    text.remove_prefix(entity == kEntities.end() ? 1 : entity->first.size());
  }
  return plain;
}

// The entry that `link` names, with "/" at the end for a directory; empty if it names none.
std::string EntryOf(std::string_view link, std::string_view directory_path) {
  const std::string plain = UnescapeHtml(link);
  StatusOr<std::string> name = UnescapeUrl(std::string_view(plain).substr(0, plain.find_first_of("?#")));
  if (!name.ok()) return {};
  std::string_view rest = *name;
  const std::string own_path = fmt::format("/{}{}", directory_path, directory_path.empty() ? "" : "/");
  if (rest.starts_with(own_path)) rest.remove_prefix(own_path.size());
  if (rest.starts_with("./")) rest.remove_prefix(2);
  const std::string_view entry = rest.ends_with('/') ? rest.substr(0, rest.size() - 1) : rest;
  const bool is_entry = IsPlainPath(entry) && entry.find('/') == std::string_view::npos && rest.find(':') == std::string_view::npos;
  return is_entry ? std::string(rest) : std::string();
}

}  // namespace

StatusOr<ObjectsPage> ParseObjectsPage(std::string_view xml) {
  pugi::xml_document document;
  const pugi::xml_node root = LoadXml(xml, document) ? document.child("ListBucketResult") : pugi::xml_node();
  if (!root) return UnavailableError("the answer is not the XML of a listing");
  ObjectsPage page;
  for (const pugi::xml_node entry : root.children("Contents")) {
    const std::string_view size = entry.child_value("Size");
    RemoteObject object{.name = entry.child_value("Key"), .entity_tag = entry.child_value("ETag")};
    const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), object.size_bytes);
    const bool has_size = error == std::errc() && end == size.data() + size.size();
    // Its tag is sent back as a header.
    if (object.name.empty() || !has_size || object.entity_tag.empty() || !IsHttpHeader("If-Match", object.entity_tag)) {
      return UnavailableError("a listing has an entry without a key, a size or a tag");
    }
    page.objects.push_back(std::move(object));
  }
  if (std::string_view(root.child_value("IsTruncated")) == "true") {
    page.next_page = root.child_value("NextContinuationToken");
    if (page.next_page.empty()) return UnavailableError("a listing says that there is more, and not where");
  }
  return page;
}

std::string ParseStoreError(std::string_view xml) {
  const std::string code = XmlElementText(xml, "Code");
  return code.empty() ? "" : fmt::format("{}: {}", code, XmlElementText(xml, "Message"));
}

std::string XmlElementText(std::string_view xml, const std::string& name) {
  pugi::xml_document document;
  if (!LoadXml(xml, document)) return {};
  return document.find_node([&name](const pugi::xml_node& node) { return node.name() == name; }).child_value();
}

std::vector<std::string> ParseDirectoryPage(std::string_view html, std::string_view directory_path) {
  std::vector<std::string> entries;
  while (const std::optional<std::string_view> link = NextLink(html)) {
    if (std::string entry = EntryOf(*link, directory_path); !entry.empty()) entries.push_back(std::move(entry));
  }
  std::ranges::sort(entries);
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
  return entries;
}

StatusOr<TextMembers> ParseJsonMembers(std::string_view json) {
  google::protobuf::Struct object;
  if (!google::protobuf::util::JsonStringToMessage(std::string(json), &object).ok()) return InvalidArgumentError("it is not a JSON object");
  TextMembers members;
  for (const auto& [name, value] : object.fields()) {
    if (value.kind_case() == google::protobuf::Value::kStringValue) members.emplace(name, value.string_value());
    if (value.kind_case() == google::protobuf::Value::kNumberValue) members.emplace(name, fmt::format("{}", value.number_value()));
  }
  return members;
}

TextMembers ParseIniSection(std::string_view text, std::string_view section) {
  TextMembers members;
  bool is_inside = false;
  while (!text.empty()) {
    const std::string_view whole = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), whole.size() + 1));
    const std::string_view line = Trim(whole);
    if (line.starts_with('[')) {
      is_inside = line.ends_with(']') && Trim(line.substr(1, line.size() - 2)) == section;
    } else if (const size_t equals = line.find('=');
               is_inside && equals != std::string_view::npos && !line.starts_with('#') && !line.starts_with(';')) {
      members.insert_or_assign(std::string(Trim(line.substr(0, equals))), Trim(line.substr(equals + 1)));
    }
  }
  return members;
}

}  // namespace tflite_serving
