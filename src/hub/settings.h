#pragma once
#include <filesystem>
#include <string>

namespace gale::hub {

/// Where the hub is and where its files lie, from the variables that huggingface_hub reads too: HF_ENDPOINT, HF_HOME
/// (XDG_CACHE_HOME), HF_HUB_CACHE (HUGGINGFACE_HUB_CACHE), HF_TOKEN (HUGGING_FACE_HUB_TOKEN), HF_TOKEN_PATH,
/// HF_HUB_DISABLE_IMPLICIT_TOKEN, HF_HUB_OFFLINE (TRANSFORMERS_OFFLINE), HF_HUB_DOWNLOAD_TIMEOUT.
struct Settings {
  std::string endpoint;                     ///< "https://huggingface.co", without a slash at its end
  std::filesystem::path cache, token_path;  ///< the folder of models--org--name; the file of the token
  std::string token;                        ///< sent to the endpoint and to nobody else; "" for none
  std::string token_source;                 ///< the variable or file it comes from
  bool offline = false;
  int stall_seconds = 30;  ///< a transfer without a byte for so long is cut and resumed

  /// Throws Error{invalid_argument} for an endpoint that is no http(s) address or a token that cannot stand in a header.
  static Settings from_environment();
};

/// `text` without the white space around it. Throws Error{invalid_argument} where it has any within, or control characters: sent
/// in a header it could say more than a token. `where` names it.
std::string clean_token(std::string_view text, std::string_view where);
/// Writes the token so that only its owner may read it (mode 0600), in one step.
void save_token(const Settings& settings, const std::string& token);

}  // namespace gale::hub
