#pragma once
#include <concepts>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace gale {

class Checkpoint;
struct EngineOptions;
struct QuantFiles;

/// What is to be made of a model's weights: --quant or --type, and what goes with it.
struct QuantRecipe {
  QuantRecipe() = default;
  template <std::convertible_to<std::string_view> Type>
  QuantRecipe(const Type& name) : type(std::string_view(name)) {}  // NOLINT: a type alone is a recipe
  /// That of the options; random weights come in their type.
  static QuantRecipe of(const EngineOptions& options);

  static constexpr std::string_view kAuto = "auto";  ///< a type still to be chosen: see auto_quant.h
  std::string type;           ///< as QuantPolicy::named takes it, or kAuto; "" keeps what the topology does not pin
  std::string topology;       ///< a file, see topology.h; "" for none
  std::string imatrix;        ///< a file, see quant/imatrix.h; "" for none
  std::string calibrate;      ///< a file of text, see calibrate.h; "" for the one that is built in
  bool experts_only = false;  ///< only the experts of a mixture get the type

  std::shared_ptr<const QuantFiles> files;  ///< what is in topology and imatrix, once read() has been there

  /// True where all weights stay what they are.
  bool empty() const { return type.empty() && topology.empty(); }
  /// Finds what is wrong with it before the model is read: throws Error{invalid_argument} or Error{not_found}. The same recipe
  /// with its files, which nobody reads again.
  QuantRecipe read() const;
  /// Throws Error{invalid_argument} where `output` is a folder, one of the model's own files, or one of the recipe's.
  void check_output(const Checkpoint& source, const std::filesystem::path& output) const;
  /// In words: "q4_k_m, pins of t.yaml".
  std::string text() const;
};

}  // namespace gale
