#include "engine/topology.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <functional>
#include <optional>

#include "base/fail.h"
#include "base/file.h"
#include "gale/features.h"
#include "quant/policy.h"
#include "tokenizer/regex.h"

namespace gale {

struct Topology::Rule {
  std::string selector, type;
  std::unique_ptr<Regex> pattern;  // null: layers
  int begin = 0, end = 0;
  size_t place = 0;  // in the file
  bool used = false;

  bool meets(std::string_view name, int layer) const {
    if (!pattern) return layer >= begin && layer < end;
    std::string buffer;
    const std::string_view subject = pattern->subject(name, buffer);
    RegexScratch scratch(name.size());
    size_t from = 0, to = 0;
    return pattern->find(subject, 0, scratch, from, to);
  }
};

namespace {

constexpr size_t kLargestFile = size_t(1) << 20;

template <class... Args>
[[noreturn]] void fail_at(const std::string& source, const YAML::Mark& mark, fmt::format_string<Args...> text, Args&&... args) {
  fail(ErrorCode::invalid_argument, "{}, line {}: {}", source, mark.line + 1, fmt::format(text, std::forward<Args>(args)...));
}

std::optional<int> number_of(std::string_view text) {
  int out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out >= 0 && out < INT_MAX ? std::optional(out)
                                                                                               : std::nullopt;
}

/// [begin, end) of "8" or "0-8".
std::optional<std::pair<int, int>> layers_of(std::string_view selector) {
  const size_t dash = selector.find('-');
  const auto begin = number_of(selector.substr(0, dash));
  if (!begin) return std::nullopt;
  if (dash == selector.npos) return std::pair(*begin, *begin + 1);
  const auto end = number_of(selector.substr(dash + 1));
  return end && *end > *begin ? std::optional(std::pair(*begin, *end)) : std::nullopt;
}

/// As --quant would have it, and by the names that other engines' files have.
std::string type_named(const std::string& source, const YAML::Node& value) {
  const auto text = value.as<std::string>("");
  const QuantSupport known = quantization_support(text);
  try {
    return std::string(QuantPolicy::named(known.can_write ? known.name : text).name());
  } catch (const Error& e) {
    fail_at(source, value.Mark(), "{}", e.what());
  }
}

/// The type that a selector's value pins, "" for none.
std::string type_in(const std::string& source, const std::string& selector, const YAML::Node& value) {
  if (!value.IsMap()) fail_at(source, value.Mark(), "{} needs a mapping such as {{quant: q6_k}}", selector);
  std::string out;
  for (const auto& entry : value) {
    const auto key = entry.first.as<std::string>("");
    if (key == "quant" || key == "isq")
      out = type_named(source, entry.second);
    else if (key != "device")
      fail_at(source, entry.first.Mark(), "\"{}\" means nothing here; known are quant (or isq) and device", key);
    else if (const auto device = entry.second.as<std::string>(""); device != "cpu")
      fail_at(source, entry.second.Mark(), "device: {} is not to be had: this build runs on the cpu", device);
  }
  return out;
}

}  // namespace

Topology::Rule Topology::rule_of(const std::string& source, const YAML::Node& selector, const YAML::Node& value) {
  Rule rule;
  rule.selector = selector.as<std::string>("");
  const std::string& s = rule.selector;
  const YAML::Mark mark = selector.Mark();
  if (s.size() > 2 && s.starts_with('/') && s.ends_with('/'))
    rule.pattern = std::make_unique<Regex>(s.substr(1, s.size() - 2), fmt::format("{}, line {}", source, mark.line + 1));
  else if (const auto layers = layers_of(s))
    std::tie(rule.begin, rule.end) = *layers;
  else
    fail_at(source, mark, "\"{}\" is no layer (8), no range with its end above its start (0-8) and no pattern (/v_proj/)", s);
  rule.type = type_in(source, s, value);
  return rule;
}

Topology Topology::read(const std::filesystem::path& path) { return parse(text_of(path), path.filename().string()); }

std::string Topology::text_of(const std::filesystem::path& path) { return read_text(path, kLargestFile); }

Topology Topology::parse(const std::string& text, const std::string& source) {
  Topology out;
  out.source_ = source;
  std::vector<std::shared_ptr<Rule>> patterns, layers;
  try {
    const YAML::Node root = YAML::Load(text);
    if (!root.IsMap()) fail_at(source, root.Mark(), "a topology is a mapping from layers or /patterns/ to {{quant: TYPE}}");
    for (const auto& entry : root) {
      auto rule = std::make_shared<Rule>(rule_of(source, entry.first, entry.second));
      rule->place = patterns.size() + layers.size();
      if (!rule->type.empty()) (rule->pattern ? patterns : layers).push_back(std::move(rule));
    }
  } catch (const YAML::Exception& e) {
    fail_at(source, e.mark, "{}", e.msg);
  }
  std::ranges::reverse(patterns);
  std::ranges::sort(layers, std::greater(), [](const auto& rule) { return std::pair(rule->end, rule->place); });
  out.rules_ = std::move(patterns);
  out.rules_.insert(out.rules_.end(), layers.begin(), layers.end());
  return out;
}

std::string_view Topology::type_of(std::string_view name, int layer) {
  const auto rule = std::ranges::find_if(rules_, [&](const auto& r) { return r->meets(name, layer); });
  if (rule == rules_.end()) return {};
  (*rule)->used = true;
  return (*rule)->type;
}

std::string Topology::unused() const {
  std::string out;
  for (const auto& rule : rules_)
    if (!rule->used) out += (out.empty() ? "" : ", ") + rule->selector;
  return out;
}

}  // namespace gale
