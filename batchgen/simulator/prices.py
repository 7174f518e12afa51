"""Prices of generations in the simulator, in US dollars.

From credits in the vendor's sample replies and from LiteLLM's price map; 1 USD is 2,000,000
credits (https://docs.aimlapi.com, "Pricing").
"""

CREDITS_PER_USD = 2_000_000
_UNKNOWN_USD = 0.03
_USD = {
    "alibaba/qwen-image": 0.0455,
    "alibaba/qwen-image-2-0": 0.0455,
    "alibaba/qwen-image-2-0-pro": 0.0975,
    "alibaba/wan-2-6-image": 0.039,
    "alibaba/wan-2-7-image": 0.039,
    "alibaba/wan-2-7-image-pro": 0.0975,
    "alibaba/wan2.2-t2i-flash": 0.02625,
    "alibaba/wan2.2-t2i-plus": 0.0525,
    "alibaba/wan2.5-t2i-preview": 0.0315,
    "alibaba/z-image-turbo": 0.00525,
    "alibaba/z-image-turbo-lora": 0.008925,
    "blackforestlabs/flux-2": 0.0126,
    "blackforestlabs/flux-2-lora": 0.02205,
    "blackforestlabs/flux-2-pro": 0.0315,
    "bytedance/seedream-4-5": 0.042,
    "bytedance/seedream-5-0-lite-preview": 0.0455,
    "bytedance/seedream-v4-edit": 0.0315,
    "bytedance/seedream-v4-text-to-image": 0.0315,
    "bytedance/uso": 0.21,
    "dall-e-2": 0.026,
    "dall-e-3": 0.052,
    "flux-pro": 0.065,
    "flux-pro/v1.1": 0.052,
    "flux-pro/v1.1-ultra": 0.063,
    "flux-realism": 0.046,
    "flux/dev": 0.033,
    "flux/kontext-max/text-to-image": 0.104,
    "flux/kontext-pro/text-to-image": 0.052,
    "flux/schnell": 0.004,
    "flux/srpo": 0.02625,
    "google/imagen-4.0-fast-generate-001": 0.021,
    "google/imagen-4.0-generate-001": 0.042,
    "google/imagen-4.0-ultra-generate-001": 0.078,
    "google/nano-banana-pro": 0.195,
    "hunyuan/hunyuan-image-v3-text-to-image": 0.105,
    "klingai/image-o1": 0.0294,
    "openai/gpt-image-1-mini": 0.0132325,
    "openai/gpt-image-2": 0.054,
    "reve/create-image": 0.063,
    "x-ai/grok-imagine-image": 0.026,
}


def price_usd(model: str) -> float:
    """Return the price of one generation, or 0.03 if it is not known."""
    return _USD.get(model, _UNKNOWN_USD)


def credits_for(model: str, count: int) -> int:
    """Return the cost of a number of generations in the vendor's credits."""
    return round(price_usd(model) * count * CREDITS_PER_USD)
