#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/file_list.h"
#include "hub/repo_name.h"

namespace gale::hub {

/// What of a repository is wanted.
struct Wanted {
  bool weights = true;      ///< false: config, tokenizer and chat template do
  std::string quant;        ///< chooses among .gguf files, as --quant has it; "" for none
  bool only_quant = false;  ///< nothing can be quantized to it: there must be a .gguf of that type
};

/// The files to have, in the order to fetch them, and the one to open.
struct Choice {
  std::vector<const RepoFile*> files;
  std::string gguf;       ///< the (first) .gguf, "" where the folder is to be opened
  bool by_quant = false;  ///< Wanted::quant chose the .gguf: it has that type already
  std::string note;       ///< what was chosen where nobody said, "" where nothing was left open
};

/// The type of a .gguf that is taken where nobody names one.
constexpr std::string_view kUsualType = "q4_k_m";

/// Names what a model needs and nothing else: config, tokenizer and template, and either safetensors (one file, those of the
/// index, or a complete numbered set; no copies in other formats or folders) or one .gguf with all its splits. `read` gives the
/// text of a small file, which it may have to fetch: the index. Throws Error{not_found} for what is missing and
/// Error{invalid_argument} listing the .gguf files with their sizes where nothing says which.
Choice choose_files(const FileList& list, const RepoName& repo, const Wanted& wanted,
                    const std::function<std::string(const RepoFile&)>& read);

/// Whether the name of a .gguf says that it is of a type: "Q4_K/model-Q4_K_M-00001-of-00002.gguf" is q4_k_m, not q4_k.
bool has_type(std::string_view name, std::string_view type);

}  // namespace gale::hub
