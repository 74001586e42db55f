#include "hub/choice.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <set>

#include "base/checked.h"
#include "base/fail.h"
#include "hub/untrusted_json.h"

namespace gale::hub {
namespace {

constexpr std::string_view kIndex = "model.safetensors.index.json", kOneFile = "model.safetensors";
constexpr std::string_view kTemplates = "additional_chat_templates/";
constexpr size_t kShown = 40;

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return out;
}

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// A name without "-00001-of-00003" and its extension, and those numbers: 1 of 1 where it has none.
struct Part {
  std::string stem;
  int number = 1, count = 1;
};

Part part_of(std::string_view name, std::string_view extension) {
  name.remove_suffix(extension.size());
  constexpr size_t kTail = 15;
  Part out{std::string(name)};
  if (name.size() <= kTail) return out;
  const std::string_view tail = name.substr(name.size() - kTail);
  const auto digits = [&](size_t at) { return tail.substr(at, 5).find_first_not_of("0123456789") == tail.npos; };
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || !digits(1) || !digits(10)) return out;
  std::from_chars(tail.data() + 1, tail.data() + 6, out.number);
  std::from_chars(tail.data() + 10, tail.data() + 15, out.count);
  out.stem = name.substr(0, name.size() - kTail);
  return out;
}

// A .gguf with all its splits.
struct Gguf {
  std::string stem;
  std::vector<const RepoFile*> files;
  int count = 1;
  int64_t size() const {
    int64_t sum = 0;
    for (const RepoFile* file : files) sum = checked_add(sum, std::max<int64_t>(file->size, 0), file->name);
    return sum;
  }
};

std::string size_text(int64_t bytes) {
  return bytes >= 1'000'000'000 ? fmt::format("{:.1f} GB", double(bytes) / 1e9) : fmt::format("{:.1f} MB", double(bytes) / 1e6);
}

// Projectors of images and importance matrices are no models.
bool is_model(std::string_view name) {
  const std::string low = lower(file_name(name));
  const size_t projector = low.find("mmproj");
  const bool projects =
      projector != low.npos && (projector == 0 || std::isalnum(static_cast<unsigned char>(low[projector - 1])) == 0);
  return name.ends_with(".gguf") && !projects && low.find("imatrix") == low.npos;
}

std::vector<Gguf> ggufs_of(const FileList& list) {
  std::map<std::pair<std::string, int>, Gguf> sets;
  for (const RepoFile& file : list.files) {
    if (!is_model(file.name)) continue;
    const Part part = part_of(file.name, ".gguf");
    Gguf& set = sets[{part.stem, part.count}];
    set.stem = part.stem;
    set.count = part.count;
    set.files.push_back(&file);  // by name, so by number
  }
  std::vector<Gguf> out;
  for (auto& [key, set] : sets) out.push_back(std::move(set));
  return out;
}

std::string listed(const std::vector<const Gguf*>& ggufs) {
  std::string out;
  for (size_t i = 0; i < std::min(ggufs.size(), kShown); ++i)
    out += fmt::format("{}{}{} ({})", i ? ", " : "", ggufs[i]->files[0]->name,
                       ggufs[i]->count > 1 ? fmt::format(" and {} more", ggufs[i]->count - 1) : "", size_text(ggufs[i]->size()));
  return ggufs.size() > kShown ? out + fmt::format(" and {} more", ggufs.size() - kShown) : out;
}

// The exact file, the type asked for, or the usual one.
class GgufChooser {
 public:
  GgufChooser(const std::vector<Gguf>& all, const RepoName& repo, const Wanted& wanted)
      : all_(all), repo_(repo), wanted_(wanted) {}

  const Gguf& choose(Choice& out) const {
    if (!repo_.file.empty()) return named();
    if (!repo_.type.empty()) return only(of_type(repo_.type), repo_.type, out);
    if (const auto found = of_type(wanted_.quant); !wanted_.quant.empty() && !found.empty()) {
      out.by_quant = true;
      return only(found, wanted_.quant, out);
    }
    if (wanted_.only_quant) return only({}, wanted_.quant, out);
    if (all_.size() == 1) return all_[0];
    if (!wanted_.quant.empty())
      fail(ErrorCode::invalid_argument, "{} has no .gguf of type {} to open; name the one to quantize as {}:TYPE: {}",
           repo_.text(), wanted_.quant, repo_.id, listed(pointers()));
    auto usual = of_type(kUsualType);
    if (const Gguf* plain = plainest(usual)) usual = {plain};
    if (usual.size() != 1) ambiguous(usual.empty() ? pointers() : usual);
    out.note = fmt::format("{} has {} models; taking {} ({}); {}:TYPE or --quant chooses another", repo_.text(), all_.size(),
                           usual[0]->files[0]->name, size_text(usual[0]->size()), repo_.id);
    return *usual[0];
  }
  /// The one of the type that --quant asks for; null where there is none or several.
  const Gguf* ready() const {
    const auto found = of_type(wanted_.quant);
    return found.size() == 1 ? found[0] : plainest(found);
  }

 private:
  std::vector<const Gguf*> of_type(std::string_view type) const {
    std::vector<const Gguf*> out;
    for (const Gguf& gguf : all_)
      if (has_type(gguf.files[0]->name, type)) out.push_back(&gguf);
    return out;
  }
  std::vector<const Gguf*> pointers() const {
    std::vector<const Gguf*> out;
    for (const Gguf& gguf : all_) out.push_back(&gguf);
    return out;
  }
  // Of m-Q4_K_M, m-UD-Q4_K_M and m.i1-Q4_K_M the first: the type and nothing else. Null where these are not of one model.
  static const Gguf* plainest(const std::vector<const Gguf*>& found) {
    if (found.empty()) return nullptr;
    const auto short_name = [](const Gguf* gguf) { return gguf->stem.size(); };
    const Gguf* out = *std::ranges::min_element(found, {}, short_name);
    const size_t end = out->stem.find_last_of(".-");
    const std::string_view model = std::string_view(out->stem).substr(0, end == out->stem.npos ? 0 : end);
    const bool alike = std::ranges::all_of(found, [&](const Gguf* gguf) {
      return gguf == out || (gguf->stem.size() > out->stem.size() && gguf->stem.starts_with(model) &&
                             (gguf->stem[model.size()] == '-' || gguf->stem[model.size()] == '.'));
    });
    return alike && !model.empty() ? out : nullptr;
  }
  const Gguf& only(const std::vector<const Gguf*>& found, std::string_view type, Choice& out) const {
    if (found.empty())
      fail(ErrorCode::not_found, "{} has no .gguf of type {}; it has {}", repo_.text(), type, listed(pointers()));
    if (found.size() == 1) return *found[0];
    const Gguf* plain = plainest(found);
    if (plain == nullptr) ambiguous(found);
    out.note = fmt::format("{} has {} models of type {}; taking {}; {}/FILE names another", repo_.text(), found.size(), type,
                           plain->files[0]->name, repo_.id);
    return *plain;
  }
  const Gguf& named() const {
    for (const Gguf& gguf : all_)
      for (const RepoFile* file : gguf.files)
        if (file->name == repo_.file) return gguf;
    fail(ErrorCode::not_found, "{} has no model {}; it has {}", repo_.text(), repo_.file, listed(pointers()));
  }
  [[noreturn]] void ambiguous(const std::vector<const Gguf*>& found) const {
    fail(ErrorCode::invalid_argument, "{} has {} models, choose one with --quant TYPE, {}:TYPE or {}/FILE: {}", repo_.text(),
         found.size(), repo_.id, repo_.id, listed(found));
  }

  const std::vector<Gguf>& all_;
  const RepoName& repo_;
  const Wanted& wanted_;
};

bool is_whole(const Gguf& gguf) {
  return int(gguf.files.size()) == gguf.count && part_of(gguf.files.back()->name, ".gguf").number == gguf.count;
}

void put(const Gguf& gguf, Choice& out) {
  out.gguf = gguf.files[0]->name;
  out.files.insert(out.files.end(), gguf.files.begin(), gguf.files.end());
}

void add_gguf(const std::vector<Gguf>& all, const RepoName& repo, const Wanted& wanted, Choice& out) {
  require(!all.empty(), ErrorCode::not_found, "{} has no .gguf file", repo.text());
  const Gguf& gguf = GgufChooser(all, repo, wanted).choose(out);
  require(is_whole(gguf), ErrorCode::not_found, "{} has only {} of the {} parts of {}: {}", repo.text(), gguf.files.size(),
          gguf.count, gguf.stem, listed({&gguf}));
  put(gguf, out);
}

// Shards in the order of their names. The index comes from outside: it may name nothing but files of this folder.
void add_indexed(const FileList& list, const RepoName& repo, const RepoFile& index, const std::string& text, Choice& out) {
  const UntrustedJson json = parse_untrusted(text, fmt::format("{}: {}", repo.text(), index.name));
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  require(map != json.end() && map->is_object() && !map->empty(), ErrorCode::corrupt, "{}: {} has no \"weight_map\"", repo.text(),
          index.name);
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map->items()) {
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    require(is_safe_path(name) && name.find('/') == name.npos, ErrorCode::corrupt,
            "{}: {} says that {} lies in {}, which is no file name", repo.text(), index.name, tensor.substr(0, 100),
            shard.dump(-1, ' ', true, UntrustedJson::error_handler_t::replace).substr(0, 100));
    shards.insert(name);
  }
  out.files.push_back(&index);
  for (const std::string& name : shards) {
    const RepoFile* file = list.find(name);
    require(file != nullptr, ErrorCode::not_found, "{}: {} names {}, which is not there", repo.text(), index.name, name);
    out.files.push_back(file);
  }
}

// Safetensors of the repository's own folder without another index, or none.
std::vector<const RepoFile*> loose_safetensors(const FileList& list) {
  std::vector<const RepoFile*> out;
  for (const RepoFile& file : list.files)
    if (file.name.ends_with(".safetensors") && file.name.find('/') == file.name.npos && !file.name.starts_with("adapter_") &&
        !file.name.starts_with("consolidated"))
      out.push_back(&file);
  if (out.size() <= 1) return out;
  for (size_t i = 0; i < out.size(); ++i) {
    const Part part = part_of(out[i]->name, ".safetensors");
    if (size_t(part.count) != out.size() || size_t(part.number) != i + 1) return {};
  }
  return out;
}

bool add_safetensors(const FileList& list, const RepoName& repo, const std::function<std::string(const RepoFile&)>& read,
                     Choice& out) {
  if (const RepoFile* one = list.find(kOneFile)) {
    out.files.push_back(one);
    return true;
  }
  if (const RepoFile* index = list.find(kIndex)) {
    add_indexed(list, repo, *index, read(*index), out);
    return true;
  }
  const auto loose = loose_safetensors(list);
  out.files.insert(out.files.end(), loose.begin(), loose.end());
  return !loose.empty();
}

// What lies beside weights; of tokenizers the first that would be opened. True where there is a tokenizer.
bool add_texts(const FileList& list, Choice& out) {
  const auto add = [&](std::string_view name) {
    const RepoFile* file = list.find(name);
    if (file != nullptr) out.files.push_back(file);
    return file != nullptr;
  };
  for (const char* name : {"config.json", "quantize_config.json", "generation_config.json", "tokenizer_config.json",
                           "special_tokens_map.json", "processor_config.json", "chat_template.jinja", "chat_template.json"})
    add(name);
  for (const RepoFile& file : list.files)
    if (file.name.starts_with(kTemplates) && file.name.ends_with(".jinja") &&
        file.name.find('/', kTemplates.size()) == file.name.npos)
      out.files.push_back(&file);
  for (const char* name : {"tokenizer.json", "tekken.json", "tokenizer.model", "spiece.model", "tiktoken.model"})
    if (add(name)) return true;
  for (const RepoFile& file : list.files)
    if (file.name.ends_with(".tiktoken") && file.name.find('/') == file.name.npos) return add(file.name);
  return false;
}

[[noreturn]] void nothing_to_open(const FileList& list, const RepoName& repo) {
  std::string names;
  size_t shown = 0;
  bool pickles = false;
  for (const RepoFile& file : list.files) {
    pickles = pickles || file.name.ends_with(".bin") || file.name.ends_with(".pth") || file.name.ends_with(".pt");
    if (shown++ < kShown) names += (names.empty() ? "" : ", ") + file.name;
  }
  if (pickles)
    fail(
        ErrorCode::unsupported,
        "{} has only pickled weights, which can run code when they are read; look for a repository with safetensors or GGUF ({})",
        repo.text(), names);
  fail(ErrorCode::not_found, "{} holds no model: neither safetensors nor .gguf files, but {}", repo.text(),
       names.empty() ? "nothing" : names);
}

}  // namespace

bool has_type(std::string_view name, std::string_view type) {
  if (type.empty()) return false;
  const std::string low = lower(part_of(name, ".gguf").stem), wanted = lower(type);
  const std::string_view stem = file_name(low);
  for (size_t at = stem.find(wanted); at != stem.npos; at = stem.find(wanted, at + 1)) {
    const size_t end = at + wanted.size();
    const bool begins = at == 0 || std::isalnum(static_cast<unsigned char>(stem[at - 1])) == 0;
    const bool ends = end == stem.size() || stem[end] == '-' || stem[end] == '.';
    if (begins && ends) return true;
  }
  const size_t slash = low.rfind('/');  // "Q4_K_M/model-00001-of-00002.gguf"
  return slash != low.npos && file_name(std::string_view(low).substr(0, slash)) == wanted;
}

Choice choose_files(const FileList& list, const RepoName& repo, const Wanted& wanted,
                    const std::function<std::string(const RepoFile&)>& read) {
  Choice out;
  const std::vector<Gguf> ggufs = ggufs_of(list);
  const bool gguf_named = !repo.file.empty() || !repo.type.empty() || wanted.only_quant;
  if (gguf_named) {
    add_gguf(ggufs, repo, wanted, out);
    return out;
  }
  // Smaller than safetensors that would have to be quantized first; where it is not clear which one, those will do.
  if (const Gguf* ready = GgufChooser(ggufs, repo, wanted).ready(); wanted.weights && ready != nullptr && is_whole(*ready)) {
    out.by_quant = true;
    put(*ready, out);
    return out;
  }
  const bool tokenizer = add_texts(list, out);
  if (!wanted.weights && tokenizer && list.find("config.json") != nullptr) return out;
  if (add_safetensors(list, repo, read, out)) return out;
  if (!wanted.weights && tokenizer && ggufs.empty()) return out;  // of a tokenizer and nothing else
  out.files.clear();                                              // what a .gguf has in itself
  if (ggufs.empty()) nothing_to_open(list, repo);
  add_gguf(ggufs, repo, wanted, out);
  return out;
}

}  // namespace gale::hub
