#include "checkpoint/hf_experts.h"

#include <charconv>
#include <initializer_list>
#include <iterator>

#include "base/fail.h"
#include "base/json.h"
#include "checkpoint/gguf_tables.h"

namespace gale {
namespace {

constexpr std::string_view kExperts = ".mlp.experts.";

/// How the modules of a family hold "gate_up_proj".
enum class Form {
  unknown,
  halves,  // [experts, 2 x out, in]: the gate's rows, then those of the up projection
  woven,   // [experts, in, 2 x out]: even columns are the gate's, odd ones the up projection's; rows where they are MXFP4
};

Form form_of(const Json& config) {
  const auto list = config.find("architectures");
  if (list == config.end() || !list->is_array() || list->empty() || !list->front().is_string()) return Form::unknown;
  const std::string name = lower_case(list->front().get<std::string>());
  if (name == "gptossforcausallm") return Form::woven;
  return name == "mixtralforcausallm" || name == "qwen3moeforcausallm" ? Form::halves : Form::unknown;
}

void replace(std::string& text, std::string_view from, std::string_view to) {
  if (const size_t at = text.find(from); at != text.npos) text.replace(at, from.size(), to);
}

std::string usual_name(std::string name) {
  replace(name, ".switch_mlp.", ".experts.");
  if (name.find(".block_sparse_moe.") == name.npos) return name;
  replace(name, ".block_sparse_moe.", ".mlp.");
  replace(name, ".w1.", ".gate_proj.");
  replace(name, ".w2.", ".down_proj.");
  replace(name, ".w3.", ".up_proj.");
  return name;
}

/// MLX says under a weight's own name how it is quantized.
void rename_in(Json& config) {
  for (const char* key : {"quantization", "quantization_config"}) {
    const auto found = config.find(key);
    if (found == config.end() || !found->is_object()) continue;
    Json renamed = Json::object();
    for (auto& [name, value] : found->items()) renamed[usual_name(name)] = std::move(value);
    *found = std::move(renamed);
  }
}

/// A tensor of all experts of a layer, [experts, ...], that is taken apart.
class Stack {
 public:
  Stack(const RawTensor& all, std::string_view before, std::vector<RawTensor>& out) : all_(all), before_(before), out_(out) {
    require(all.shape.rank() >= 1 && all.elements() > 0 && all.shape[0] <= kMostExperts, ErrorCode::corrupt,
            "{}: shape {} cannot be taken apart into experts", all.source, all.shape.text());
  }

  /// Each expert's, as it is.
  void each(std::string_view name) {
    for (int64_t e = 0; e < all_.shape[0]; ++e) add(e, name, rest(1), share(e), 0, 0);
  }
  /// Each expert's first rows, then its others.
  void halves(std::string_view first, std::string_view second) {
    require(all_.shape.rank() == 3, ErrorCode::corrupt, "{}: shape {} cannot be taken apart into experts", all_.source,
            all_.shape.text());
    for (int64_t e = 0; e < all_.shape[0]; ++e)
      for (const bool other : {false, true}) {
        const auto own = share(e);
        add(e, other ? second : first, {half(1), all_.shape[2]}, own.subspan(other ? own.size() / 2 : 0, own.size() / 2), 0, 0);
      }
  }
  /// Each expert's rows in turn; what a row has more than one dimension of becomes one.
  void woven_rows(std::string_view first, std::string_view second) {
    const int64_t rows = half(1), columns = all_.elements() / all_.shape[0] / all_.shape[1], row = columns * width();
    for (int64_t e = 0; e < all_.shape[0]; ++e)
      for (const bool other : {false, true})
        add(e, other ? second : first, {rows, columns}, share(e).subspan(other ? size_t(row) : 0, size_t(row * (2 * rows - 1))),
            2 * row, 0);
  }
  /// Each expert's matrix the other way round.
  void turned(std::string_view name) {
    check_matrices();
    for (int64_t e = 0; e < all_.shape[0]; ++e)
      add(e, name, {all_.shape[2], all_.shape[1]}, share(e), width(), all_.shape[2] * width());
  }
  /// The same of its columns in turn.
  void turned_and_woven(std::string_view first, std::string_view second) {
    check_matrices();
    const int64_t out = half(2);
    for (int64_t e = 0; e < all_.shape[0]; ++e)
      for (const bool other : {false, true}) {
        const auto own = share(e);
        add(e, other ? second : first, {out, all_.shape[1]},
            own.subspan(other ? size_t(width()) : 0, own.size() - size_t(width())), 2 * width(), all_.shape[2] * width());
      }
  }
  /// Vectors of all experts, whose elements come in turn.
  void woven_vectors(std::string_view first, std::string_view second) {
    const int64_t n = half(1);
    for (const bool other : {false, true})
      add(-1, other ? second : first, {all_.shape[0], n},
          all_.bytes.subspan(other ? size_t(width()) : 0, all_.bytes.size() - size_t(width())), 2 * n * width(), 2 * width());
  }

 private:
  int64_t width() const {
    const TensorTypeInfo& info = tensor_type_info(all_.type);
    require(info.block == 1, ErrorCode::unsupported, "{}: experts of type {} cannot be taken apart", all_.source, info.name);
    return info.bytes;
  }
  int64_t half(int dimension) const {
    require(dimension < all_.shape.rank() && all_.shape[dimension] % 2 == 0, ErrorCode::corrupt,
            "{}: shape {} cannot be taken apart into experts", all_.source, all_.shape.text());
    return all_.shape[dimension] / 2;
  }
  void check_matrices() const {
    require(all_.shape.rank() == 3, ErrorCode::corrupt, "{}: shape {} cannot be taken apart into experts", all_.source,
            all_.shape.text());
  }
  Shape rest(int from) const {
    const Shape& s = all_.shape;
    return s.rank() == from       ? Shape{}
           : s.rank() - from == 1 ? Shape{s[from]}
           : s.rank() - from == 2 ? Shape{s[from], s[from + 1]}
                                  : Shape{s[from], s[from + 1], s[from + 2]};
  }
  std::span<const std::byte> share(int64_t expert) const {
    const size_t bytes = all_.bytes.size() / size_t(all_.shape[0]);
    return all_.bytes.subspan(size_t(expert) * bytes, bytes);
  }
  void add(int64_t expert, std::string_view name, const Shape& shape, std::span<const std::byte> bytes, int64_t row_apart,
           int64_t column_apart) {
    RawTensor part = all_;
    part.name = expert < 0 ? fmt::format("{}{}", before_, name) : fmt::format("{}{}.{}", before_, expert, name);
    if (expert >= 0) part.source += fmt::format(", expert {}", expert);
    part.shape = shape;
    part.bytes = bytes;
    part.row_apart = row_apart;
    part.column_apart = column_apart;
    out_.push_back(std::move(part));
  }

  static constexpr int64_t kMostExperts = 65536;  // a count above it is nonsense or an attack
  const RawTensor& all_;
  std::string_view before_;
  std::vector<RawTensor>& out_;
};

/// "up_proj.scales" of all experts, as MLX stacks them. Plain weights may stay together.
bool stacked_parts(std::string_view tail, const RawTensor& tensor) {
  for (const std::string_view matrix : {"gate_proj.", "up_proj.", "down_proj."})
    if (tail.starts_with(matrix)) {
      const std::string_view part = tail.substr(matrix.size());
      return part == "scales" || part == "biases" || part == "global_scale" ||
             (part == "weight" && tensor.type == TensorType::u32);
    }
  return false;
}

/// Whether the tensor `before` + `tail` was of all experts, and is in `out` now.
bool take_apart(const RawTensor& tensor, std::string_view before, std::string_view tail, Form form, std::vector<RawTensor>& out) {
  if (stacked_parts(tail, tensor)) return Stack(tensor, before, out).each(tail), true;
  const bool woven = form == Form::woven;
  if (tail == "gate_up_proj" && woven)
    return Stack(tensor, before, out).turned_and_woven("gate_proj.weight", "up_proj.weight"), true;
  if (tail == "gate_up_proj" || tail == "gate_up_proj.weight")
    return Stack(tensor, before, out).halves("gate_proj.weight", "up_proj.weight"), true;
  if (!woven) return false;
  if (tail == "down_proj") return Stack(tensor, before, out).turned("down_proj.weight"), true;
  if (tail == "gate_up_proj_blocks") return Stack(tensor, before, out).woven_rows("gate_proj.blocks", "up_proj.blocks"), true;
  if (tail == "gate_up_proj_scales") return Stack(tensor, before, out).woven_rows("gate_proj.scales", "up_proj.scales"), true;
  if (tail == "gate_up_proj_bias") return Stack(tensor, before, out).woven_vectors("gate_proj.bias", "up_proj.bias"), true;
  if (tail == "down_proj_blocks") return Stack(tensor, before, out).each("down_proj.blocks"), true;
  if (tail == "down_proj_scales") return Stack(tensor, before, out).each("down_proj.scales"), true;
  return false;
}

}  // namespace

void normalize_experts(Json& config, std::vector<RawTensor>& tensors) {
  const Form form = form_of(config);
  if (form == Form::unknown) return;
  rename_in(config);
  std::vector<RawTensor> out;
  for (RawTensor& tensor : tensors) {
    tensor.name = usual_name(std::move(tensor.name));
    const size_t at = tensor.name.find(kExperts);
    const size_t end = at == std::string::npos ? 0 : at + kExperts.size();
    const std::string_view whole = tensor.name, tail = end == 0 ? "" : whole.substr(end);
    if (take_apart(tensor, whole.substr(0, end), tail, form, out)) continue;
    if (tail == "down_proj") tensor.name += ".weight";
    if (tail == "down_proj_bias") replace(tensor.name, "_bias", ".bias");
    out.push_back(std::move(tensor));
  }
  tensors = std::move(out);
}

std::string published_expert_name(const std::string& name) {
  if (!expert_name(name + ".")) return name;
  std::string out = name;
  replace(out, ".mlp.", ".block_sparse_moe.");
  replace(out, ".gate_proj", ".w1");
  replace(out, ".down_proj", ".w2");
  replace(out, ".up_proj", ".w3");
  return out;
}

std::optional<ExpertName> expert_name(std::string_view name) {
  const size_t at = name.find(kExperts);
  if (at == name.npos) return std::nullopt;
  const size_t number = at + kExperts.size();
  int64_t expert = -1;
  const char* end = name.data() + name.size();
  const auto [after, error] = std::from_chars(name.data() + number, end, expert);
  if (error != std::errc() || expert < 0 || after == end || *after != '.') return std::nullopt;
  return ExpertName{std::string(name.substr(0, number)) + std::string(after + 1, end), expert};
}

}  // namespace gale
