"""The committed cases: name -> options of make_golden.py. Between them every option of a family is on at least once."""

CASES = {
    # Llama 2: as many kv heads as heads, its own head, a head width that is no multiple of 8.
    "llama2": "--arch llama --hidden 48 --intermediate 80 --dtype f32",
    # Llama 3.x: grouped kv heads, tied head, the llama3 frequency bands; 64 puts one band each below, between and above.
    "llama3": "--arch llama --layers 3 --intermediate 112 --kv-heads 2 --tied --rope-theta 500000 --rope-scaling llama3"
              " --rope-factor 8 --rope-original 64 --vocab 160 --dtype bf16",
    # Linear scaling, in the oldest spelling ("type"), and a single kv head.
    "llama_linear": "--arch llama --hidden 48 --kv-heads 1 --rope-scaling linear --rope-factor 4 --config-form classic-type"
                    " --dtype f32",
    # Every bias, a head width that is not hidden / heads, f16 weights.
    "llama_bias": "--arch llama --kv-heads 2 --head-dim 24 --attention-bias --mlp-bias --dtype f16 --config-form rope_parameters",
    # A window much shorter than the prompt, weights in two files.
    "mistral": "--arch mistral --layers 3 --kv-heads 2 --sliding-window 8 --dtype bf16 --shards 2",
    # No window ("sliding_window": null) and a wide head, as in Mistral Nemo.
    "mistral_nemo": "--arch mistral --kv-heads 2 --head-dim 32 --rope-theta 1000000 --vocab 192 --dtype bf16",
    # q, k and v biases, tied head; a window is written but switched off.
    "qwen2": "--arch qwen2 --hidden 56 --intermediate 96 --kv-heads 2 --tied --rope-theta 1000000 --sliding-window 8"
             " --window-off --dtype f32",
    # The window on the upper layers only; the reader has only max_window_layers to go by.
    "qwen2_window": "--arch qwen2 --layers 3 --kv-heads 2 --sliding-window 6 --max-window-layers 1 --dtype bf16",
    # q and k norms, head_dim twice hidden / heads, tied head.
    "qwen3": "--arch qwen3 --kv-heads 2 --head-dim 32 --tied --rope-theta 1000000 --vocab 256 --dtype bf16",
    # The same with biases and the window on the upper layers, told by layer_types; the newest spelling.
    "qwen3_window": "--arch qwen3 --layers 3 --kv-heads 1 --head-dim 16 --attention-bias --sliding-window 6 --max-window-layers 2"
                    " --dtype bf16 --config-form rope_parameters",
    # Experts in every layer, a tensor each.
    "mixtral": "--arch mixtral --kv-heads 2 --intermediate 48 --experts 7 --rope-theta 1000000 --dtype bf16",
    # The experts of a layer in two tensors, a window, a number of outputs that is no multiple of 16, the newest spelling.
    "mixtral_fused": "--arch mixtral --hidden 56 --kv-heads 1 --head-dim 16 --intermediate 40 --experts 4 --sliding-window 8 --fused-experts"
                     " --dtype f32 --config-form rope_parameters",
    # Weights of the chosen that do not sum to 1, 3 of 6, biases and a plain MLP in the middle.
    "qwen3_moe": "--arch qwen3_moe --layers 3 --kv-heads 2 --head-dim 32 --attention-bias --experts 6 --experts-used 3"
                 " --expert-intermediate 32 --set norm_topk_prob=false --set mlp_only_layers=[1] --dtype bf16",
    # Weights that do, experts in every second layer, tied head, the window on; the newest spelling.
    "qwen3_moe_norm": "--arch qwen3_moe --layers 2 --kv-heads 2 --tied --experts 6 --expert-intermediate 32 --sliding-window 6"
                      " --set norm_topk_prob=true --set decoder_sparse_step=2 --dtype bf16 --config-form rope_parameters",
    # GPTQ: columns scattered over groups of 32, in each layer otherwise; zeros stored one less than they mean.
    "llama_gptq": "--arch llama --hidden 64 --intermediate 96 --kv-heads 2 --vocab 96 --gptq 32 --gptq-act-order --dtype f32",
    # GPTQ: one scale a row, zeros in the middle and stored as they are, biases beside the quantized weights.
    "qwen2_gptq": "--arch qwen2 --hidden 64 --intermediate 96 --kv-heads 2 --vocab 96 --gptq -1 --gptq-sym --gptq-format gptq_v2"
                  " --dtype f32",
    # GPTQ: modules of 2, 3, 4 and 8 bits, of other groups and of none, by GPTQModel's rules; g_idx only where columns are scattered.
    "llama_gptq_dynamic": "--arch llama --hidden 64 --intermediate 96 --kv-heads 2 --vocab 64 --prompts 24 --gptq 32 --gptq-dynamic --dtype f32",
    # GPTQ of old: config.json says nothing, quantize_config.json beside it does.
    "qwen2_gptq_old": "--arch qwen2 --hidden 64 --intermediate 64 --kv-heads 2 --vocab 64 --prompts 24 --gptq 32 --gptq-act-order --gptq-old"
                      " --dtype f32",
    # Other formats of quantized checkpoints, in small models: FP8 in blocks that outputs and columns are no multiples of, experts too, ...
    "mixtral_fp8": "--arch mixtral --hidden 48 --intermediate 40 --experts 4 --vocab 64 --prompts 24 --quantized fp8_block --dtype f32",
    # ... FP8 with a scale for each output, ...
    "llama_fp8": "--arch llama --hidden 64 --intermediate 96 --vocab 64 --prompts 24 --quantized fp8_channel --dtype f32",
    "qwen2_awq": "--arch qwen2 --hidden 64 --intermediate 96 --vocab 64 --prompts 24 --quantized awq --dtype f32",
    # ... compressed-tensors of 4 bits, experts too, and of 8, ...
    "mixtral_int4": "--arch mixtral --hidden 64 --intermediate 64 --experts 4 --vocab 64 --prompts 24 --quantized int4 --dtype f32",
    "llama_int8": "--arch llama --hidden 64 --intermediate 96 --vocab 64 --prompts 24 --quantized int8 --dtype f32",
    # ... bitsandbytes whose blocks cross rows of 96, absmax nested, ...
    "llama_nf4": "--arch llama --hidden 64 --intermediate 96 --vocab 64 --prompts 24 --quantized nf4 --dtype f32",
    "llama_nvfp4": "--arch llama --hidden 64 --intermediate 128 --vocab 64 --prompts 24 --quantized nvfp4 --dtype f32",
    "qwen3_hqq": "--arch qwen3 --hidden 64 --intermediate 96 --vocab 64 --prompts 24 --quantized hqq --dtype f32",
    # ... and MLX of 6 bits.
    "llama_afq": "--arch llama --hidden 64 --intermediate 96 --vocab 64 --prompts 24 --quantized afq --dtype f32",
    # What packages save themselves: bitsandbytes through transformers (rows are whole blocks, though it may
    # cut blocks across rows when it quantizes: reading them on a CPU, 0.50.2 takes each row to begin one), ...
    "llama_bnb_int8": "--arch llama --hidden 64 --intermediate 96 --vocab 64 --prompts 24 --saved bnb_int8 --dtype f32",
    "llama_bnb_fp4": "--arch llama --hidden 64 --intermediate 128 --vocab 64 --prompts 24 --saved bnb_fp4 --dtype f32",
    "qwen2_bnb_nf4": "--arch qwen2 --hidden 64 --intermediate 128 --vocab 64 --prompts 24 --saved bnb_nf4 --dtype f32",
    # ... hqq, compressed-tensors and MLX with every layer in another of their forms, ...
    "llama_hqq_saved": "--arch llama --hidden 64 --intermediate 64 --vocab 64 --prompts 24 --saved hqq --dtype f32",
    "llama_compressed": "--arch llama --hidden 64 --intermediate 64 --vocab 64 --prompts 24 --saved compressed --dtype f32",
    "llama_mlx": "--arch llama --layers 3 --hidden 128 --intermediate 128 --vocab 64 --prompts 24 --saved mlx --dtype f32",
    # ... also as mlx-lm converts mixtures of experts: stacked, embedding, head and router quantized too, one layer in other bits, ...
    "mixtral_mlx": "--arch mixtral --hidden 64 --intermediate 64 --experts 4 --kv-heads 2 --vocab 64 --prompts 24 --mlx-moe --dtype f32",
    "qwen3_moe_mlx": "--arch qwen3_moe --layers 2 --kv-heads 2 --head-dim 16 --experts 4 --expert-intermediate 64 --intermediate 64 --vocab 64"
                     " --prompts 24 --set norm_topk_prob=true --mlx-moe --dtype f32",
    # ... in its modes without biases, with a scale for each expert too, ...
    "mixtral_mlx_modes": "--arch mixtral --hidden 64 --intermediate 64 --experts 4 --kv-heads 2 --vocab 64 --prompts 24 --mlx-moe modes --dtype f32",
    # ... and gguf.
    "llama_gguf": "--arch llama --hidden 256 --intermediate 96 --head-dim 16 --kv-heads 2 --vocab 64 --prompts 24 --gguf --dtype f32",
    # mistral.rs's container: every family of its layers, in two shards, and stacks of experts.
    "llama_uqff": "--arch llama --hidden 64 --intermediate 96 --vocab 64 --prompts 24 --uqff --dtype f32",
    "mixtral_uqff": "--arch mixtral --hidden 64 --intermediate 64 --experts 4 --vocab 64 --prompts 24 --uqff --dtype f32",
    # Small, and what transformers does with a config that says too much or too little: a window, kinds of layers and a partial rotation
    # that Llama has not, ...
    "llama_stray": "--arch llama --hidden 32 --intermediate 48 --vocab 64 --prompts 24 --set sliding_window=6"
                   " --set partial_rotary_factor=0.5 --dtype f32",
    # ... a window that nothing switches on, ...
    "qwen2_silent": "--arch qwen2 --hidden 32 --intermediate 48 --vocab 64 --prompts 24 --sliding-window 6 --window-off"
                    " --drop use_sliding_window --drop max_window_layers --dtype f32",
    # ... and one that is on, but from layer 28, which a small model has not.
    "qwen3_silent": "--arch qwen3 --hidden 32 --intermediate 48 --vocab 64 --prompts 24 --sliding-window 6 --drop max_window_layers"
                    " --dtype f32",
}
