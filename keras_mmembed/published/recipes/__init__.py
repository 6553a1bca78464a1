"""Published models by the `model_type` of their configurations."""

from keras_mmembed.published.recipes import bert, vit
from keras_mmembed.published.settings import Published

PUBLISHED: dict[str, Published] = {
    "bert": Published(bert.bert, bert.BERT),
    "roberta": Published(bert.roberta, bert.ROBERTA),
    "vit": Published(vit.vit, vit.VIT, vit.PIXELS),
}
