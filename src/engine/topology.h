#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace YAML {
class Node;
}

namespace gale {

/// Which weights get a type of their own, as a YAML file says it:
///
///     0-8: {quant: q6_k}                 # layers 0 to 7
///     8: {quant: q4_k}                   # layer 8
///     '/self_attn\.v_proj/': {quant: q8_0}
///
/// A selector is a layer, a range of layers whose end is not in it, or a regular expression between slashes that is looked for in
/// the weight's name ("model.layers.0.self_attn.v_proj.weight"). `isq` is another word for `quant`; `device` may be "cpu".
/// Regular expressions go before layers, and later ones before earlier; of ranges the one that ends last counts, of those that
/// end together the later one. mistral.rs's topology files are of this form.
class Topology {
 public:
  /// Throws Error{not_found} for the file, Error{invalid_argument} naming the line for what it cannot mean.
  static Topology read(const std::filesystem::path& path);
  static Topology parse(const std::string& text, const std::string& source);
  /// The text of the file, of a sensible size.
  static std::string text_of(const std::filesystem::path& path);

  /// What is pinned for a weight, "" where nothing is. `layer`: -1 outside the layers. Remembers which selectors were of use.
  std::string_view type_of(std::string_view name, int layer);
  /// The selectors that no weight has met, by commas.
  std::string unused() const;
  const std::string& source() const { return source_; }

 private:
  struct Rule;
  static Rule rule_of(const std::string& source, const YAML::Node& selector, const YAML::Node& value);
  std::string source_;
  std::vector<std::shared_ptr<Rule>> rules_;  // the first that a weight meets counts
};

}  // namespace gale
