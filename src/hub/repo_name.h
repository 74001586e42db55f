#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace gale::hub {

/// What a user writes for a repository: org/name[/file.gguf][:TYPE][@revision], the last two in either order.
struct RepoName {
  std::string id;                 ///< "org/name"
  std::string revision = "main";  ///< branch, tag, commit or a ref such as refs/pr/3
  std::string file;               ///< one .gguf of it, "" where none is named
  std::string type;               ///< what the names of its .gguf files end in, such as Q4_K_M; "" where none is named

  /// "org/name" or "org/name@revision"
  std::string text() const { return revision == "main" ? id : id + "@" + revision; }
};

/// nullopt for what cannot be a repository: paths, names without an organisation, files other than .gguf, hostile characters.
/// A name that looks like a file's ("org/x.gguf") is one only with a revision or a type.
std::optional<RepoName> parse_repo_name(std::string_view text);

/// A relative path of plain names: no "..", no empty part, no backslash, no control character, at most 255 bytes a part.
bool is_safe_path(std::string_view path);
/// A full commit: 40 lower-case hexadecimal digits.
bool is_commit(std::string_view text);
/// `text` with everything but letters, digits and "-._~" percent-encoded; '/' stays where `keep_slashes`.
std::string url_encoded(std::string_view text, bool keep_slashes);

}  // namespace gale::hub
