"""Writes test/golden/formats: tiny pictures in the formats that people have, and what Pillow makes of them."""
import base64
import io
import os
import struct
import zlib

import numpy
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from common import ROOT, setup, versions, write_json
from make_images import paint
from pictures import decode

FOLDER = os.path.join(ROOT, "formats")
WIDTH, HEIGHT = 13, 9
# Width and height; the last three have an aspect ratio over 200.
SHAPES = [(1, 1), (1, 200), (200, 1), (2, 399), (10000, 50), (29, 2900), (29, 5600), (1200, 900), (3000, 2000), (1, 201), (201, 1), (10051, 50)]
SAMPLES = 97
ADOBE = b"\xff\xee\x00\x0eAdobe"


def base(seed=1):
    return paint(WIDTH, HEIGHT, seed)


def ramp():
    return Image.fromarray(numpy.tile(numpy.linspace(0, 255, WIDTH).astype(numpy.uint8), (HEIGHT, 1)))


def with_alpha(image):
    image = image.copy()
    image.putalpha(ramp())
    return image


def encoded(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def exif(orientation):
    fields = Image.Exif()
    fields[274] = orientation
    return fields


def turned():
    """All eight orientations; the orientation of a TIFF is one of its own tags."""
    for orientation in range(1, 9):
        yield f"orientation-{orientation}.png", encoded(base(), "PNG", exif=exif(orientation))
        yield f"orientation-{orientation}.jpg", encoded(base(), "JPEG", quality=75, exif=exif(orientation))
    yield "orientation-6.webp", encoded(base(), "WEBP", lossless=True, exif=exif(6))
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[274] = 8
    yield "orientation-8.tiff", encoded(base(), "TIFF", tiffinfo=tags)


def transparent():
    gray = base().convert("L")
    yield "rgba.png", encoded(with_alpha(base()), "PNG")
    yield "gray-alpha.png", encoded(with_alpha(gray), "PNG")
    palette = base().quantize(11)
    yield "palette-alpha.png", encoded(palette, "PNG", transparency=bytes(range(0, 250, 25)))
    yield "palette-key.png", encoded(palette, "PNG", transparency=3)
    yield "rgb-key.png", encoded(base(), "PNG", transparency=base().getpixel((4, 3)))
    yield "gray-key.png", encoded(gray, "PNG", transparency=gray.getpixel((4, 3)))
    yield "rgba.webp", encoded(with_alpha(base()), "WEBP", lossless=True, exact=True)
    yield "key.gif", encoded(palette, "GIF", transparency=2)
    yield "rgba.tiff", encoded(with_alpha(base()), "TIFF", compression="tiff_lzw")


def gray_and_palette():
    gray = base().convert("L")
    yield "gray.png", encoded(gray, "PNG")
    yield "gray.jpg", encoded(gray, "JPEG", quality=75)
    yield "gray.tiff", encoded(gray, "TIFF")
    yield "bits.png", encoded(base().convert("1"), "PNG")
    yield "bits.tiff", encoded(base().convert("1"), "TIFF", compression="group4")
    yield "palette.png", encoded(base().quantize(11), "PNG")
    yield "palette-4-bits.png", encoded(base().quantize(11), "PNG", bits=4)
    yield "palette.tiff", encoded(base().quantize(11), "TIFF")
    yield "palette.gif", encoded(base().quantize(11), "GIF")


def inks():
    image = base().convert("CMYK")
    jpeg = encoded(image, "JPEG", quality=90)
    at = jpeg.index(ADOBE)
    yield "cmyk-adobe.jpg", jpeg
    yield "cmyk-plain.jpg", jpeg[:at] + jpeg[at + 16 :]
    # The same numbers, said to be YCCK.
    yield "ycck.jpg", jpeg[: at + 15] + b"\x02" + jpeg[at + 16 :]
    yield "cmyk.tiff", encoded(image, "TIFF", compression="tiff_lzw")


def png16(channels, colour_type):
    """Pillow does not write 16 bits of colour."""
    values = numpy.random.default_rng(5).integers(0, 65536, (HEIGHT, WIDTH, channels)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, colour_type, 0, 0, 0)
    return png_file(header, zlib.compress(rows))


def png_file(header, data):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def deep():
    yield "gray-16.png", png16(1, 0)
    yield "rgb-16.png", png16(3, 2)
    yield "gray-alpha-16.png", png16(2, 4)
    yield "rgba-16.png", png16(4, 6)
    yield "gray-16.tiff", encoded(Image.fromarray(numpy.arange(WIDTH * HEIGHT, dtype=numpy.uint16).reshape(HEIGHT, WIDTH) * 550), "TIFF")


def animated():
    frames = [base(1), base(2), base(3)]
    yield "animated.gif", encoded(frames[0].quantize(40), "GIF", save_all=True, append_images=[f.quantize(40) for f in frames[1:]], duration=50)
    yield "animated.webp", encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True, duration=50)
    yield "animated.png", encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=50)
    yield "pages.tiff", encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:], compression="tiff_deflate")


def compressed():
    yield "progressive.jpg", encoded(base(), "JPEG", quality=80, progressive=True)
    yield "subsampled.jpg", encoded(base(), "JPEG", quality=80, subsampling="4:2:0")
    yield "full.jpg", encoded(base(), "JPEG", quality=80, subsampling="4:4:4")
    yield "lossless.webp", encoded(base(), "WEBP", lossless=True)
    yield "lossy.webp", encoded(base(), "WEBP", quality=80)
    yield "lossless.avif", encoded(base(), "AVIF", quality=100, subsampling="4:4:4")
    for name in ("raw", "tiff_lzw", "tiff_deflate", "packbits"):
        yield f"{name.removeprefix('tiff_')}.tiff", encoded(base(), "TIFF", compression=name)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile[:24] + bytes(12) + profile[36:]  # the time of its making
    yield "profile.png", encoded(base(), "PNG", icc_profile=profile)
    yield "profile.jpg", encoded(base(), "JPEG", quality=75, icc_profile=profile)
    yield "one-pixel.png", encoded(Image.new("RGB", (1, 1), (9, 200, 31)), "PNG")


def pictures():
    for make in (turned, transparent, gray_and_palette, inks, deep, animated, compressed):
        yield from make()


def refused():
    """What no decoder may take, or ours does not: the name says which."""
    whole = {"png": encoded(base(), "PNG"), "jpg": encoded(base(), "JPEG"), "webp": encoded(base(), "WEBP", lossless=True),
             "gif": encoded(base().quantize(11), "GIF"), "tiff": encoded(base(), "TIFF", compression="tiff_lzw")}
    for kind, data in whole.items():
        yield f"half.{kind}", data[: len(data) // 2]
    yield "zero.png", png_file(struct.pack(">IIBBBBB", 0, 7, 8, 2, 0, 0, 0), zlib.compress(b""))
    yield "bomb.png", png_file(struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0), zlib.compress(bytes(1000)))
    yield "page.jpg", b"\n<!DOCTYPE html><html><body>404</body></html>"
    yield "text.png", b"just some text"
    yield "empty.png", b""
    yield "drawing.png", b'<?xml version="1.0"?><!-- drawn --><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    yield "photo.heic", struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(40)
    yield "bitmap.bmp", encoded(base(), "BMP")
    yield "icon.ico", encoded(base().resize((16, 16)), "ICO", bitmap_format="bmp", sizes=[(16, 16)])
    yield "jpeg2000.jp2", encoded(base(), "JPEG2000")


def reads(path):
    try:
        decode(path)
        return True
    except Exception:  # noqa: BLE001: Pillow has many
        return False


def high_byte(path):
    """Of 16 bits of grey, which Pillow's convert("RGB") clips to white instead."""
    values = (numpy.array(Image.open(path)) >> 8).astype(numpy.uint8)
    return Image.fromarray(values).convert("RGB")


def shape_case(width, height):
    """A picture of known pixels, (3x + 5y + 40c) mod 256, through the processor: its grid and some of its values."""
    y, x, c = numpy.mgrid[0:height, 0:width, 0:3]
    image = Image.fromarray(((3 * x + 5 * y + 40 * c) % 256).astype(numpy.uint8))
    row = {"width": width, "height": height}
    try:
        out = Qwen2VLImageProcessorPil(min_pixels=3136, max_pixels=100352)(images=[image], return_tensors="np")
    except ValueError as error:
        return {**row, "error": str(error)}
    values = out["pixel_values"].reshape(-1)
    picked = [float(values[k * (values.size - 1) // (SAMPLES - 1)]) for k in range(SAMPLES)]
    return {**row, "grid": out["image_grid_thw"][0].tolist(), "count": int(values.size), "samples": picked}


def pixels(image):
    return base64.b64encode(numpy.array(image).tobytes()).decode()


def main():
    setup()
    os.makedirs(FOLDER, exist_ok=True)
    rows, errors = [], []
    for file, data in pictures():
        path = os.path.join(FOLDER, file)
        with open(path, "wb") as out:
            out.write(data)
        deep_gray = Image.open(path).mode.startswith("I;16")
        white = high_byte(path) if deep_gray else decode(path)
        dropped = white if deep_gray else ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        row = {"file": file, "mode": Image.open(path).mode, "width": white.width, "height": white.height, "white": pixels(white)}
        if pixels(dropped) != row["white"]:
            row["dropped"] = pixels(dropped)
        rows.append(row)
        assert len(data) <= 2048, (file, len(data))
    for file, data in refused():
        path = os.path.join(FOLDER, file)
        with open(path, "wb") as out:
            out.write(data)
        errors.append({"file": file, "pillow_reads": reads(path)})
    write_json(os.path.join(FOLDER, "formats.json"), {
        "versions": versions(), "pictures": rows, "refused": errors,
        "shapes": [shape_case(*shape) for shape in SHAPES],
    })
    print(len(rows), "pictures,", len(errors), "refused,", sum(os.path.getsize(os.path.join(FOLDER, f)) for f in os.listdir(FOLDER)), "bytes")


if __name__ == "__main__":
    main()
