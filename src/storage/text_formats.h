// The texts in which stores and their credentials come.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "storage/object_store.h"

namespace tflite_serving {

// A page of ListObjectsV2 (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html), which Google Cloud Storage gives as well.
struct ObjectsPage {
  std::vector<RemoteObject> objects;  // `name` is the whole key
  std::string next_page;              // the token for it; empty: this is the last one
};
StatusOr<ObjectsPage> ParseObjectsPage(std::string_view xml);

// "NoSuchBucket: The specified bucket does not exist" of an error's XML; empty for any other text.
std::string ParseStoreError(std::string_view xml);

// The text of the first element with that name, anywhere in the document; empty: there is none.
std::string XmlElementText(std::string_view xml, const std::string& name);

// The entries of a directory that a web server lists: the relative links in an HTML page that name something in it, unescaped; of directories with
// "/" at the end. `directory_path` is the page's own path, unescaped, as links may begin with it.
std::vector<std::string> ParseDirectoryPage(std::string_view html, std::string_view directory_path);

// The members of a JSON object that are strings or numbers, as text. INVALID_ARGUMENT for other text.
using TextMembers = std::map<std::string, std::string, std::less<>>;
StatusOr<TextMembers> ParseJsonMembers(std::string_view json);

// The keys of a section of an INI file, as AWS has them ("[default]", or "[profile x]").
TextMembers ParseIniSection(std::string_view text, std::string_view section);

}  // namespace tflite_serving
