"""Picture file -> RGB, the way this project loads pictures."""
import numpy
from PIL import Image, ImageOps


def on_white(image):
    """round((rgb * alpha + 255 * (255 - alpha)) / 255), which is what PIL's masked paste computes."""
    image = image.convert("RGBA")
    pixels = numpy.array(image).astype(numpy.int64)
    alpha = pixels[:, :, 3:]
    exact = (2 * (pixels[:, :, :3] * alpha + 255 * (255 - alpha)) + 255) // 510
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image.convert("RGB"), mask=image.getchannel("A"))
    assert numpy.array_equal(numpy.array(white), exact)
    return white


def decode(path):
    """EXIF turn applied, alpha pasted on white, everything else by convert("RGB")."""
    image = ImageOps.exif_transpose(Image.open(path))
    if "A" in image.getbands() or "transparency" in image.info:
        return on_white(image)
    return image.convert("RGB")
