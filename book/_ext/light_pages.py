"""Pages load what they show, and no more: MathJax with formulas, figures without the air in them, cards as they scroll by."""

from docutils import nodes
from PIL import Image
from sphinx.transforms.post_transforms.images import ImageConverter


def without_mathjax(app, page, template, context, doctree):
    """Sphinx gives MathJax also to a page whose table of contents leads to formulas."""
    if not app.env.get_domain("math").data["has_equations"].get(page):
        context["script_files"] = [
            script
            for script in context.get("script_files", ())
            if "mathjax" not in f"{script.filename} {script.attributes.get('body')}".lower()
        ]


def lazy_cards(app, doctree, page):
    """The style sheet gives the pictures of cards their shape, so nothing moves when they arrive."""
    for picture in doctree.findall(nodes.image):
        if "sd-card-img-top" in picture["classes"]:
            picture["loading"] = "lazy"


class LosslessWebP(ImageConverter):
    """The same pixels in less than half of the bytes. The first figure of a page stays a PNG: it is the preview elsewhere."""

    def match(self, node):
        first = next(self.document.findall(nodes.image))
        return (
            self.app.builder.format == "html"
            and node is not first
            and "image/png" in self.guess_mimetypes(node)
        )

    def get_conversion_rule(self, node):
        return "image/png", "image/webp"

    def convert(self, _from, _to):
        Image.open(_from).save(_to, lossless=True, method=2)
        return True


def setup(app):
    app.connect("html-page-context", without_mathjax, priority=900)
    app.connect("doctree-resolved", lazy_cards)
    app.add_post_transform(LosslessWebP)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
