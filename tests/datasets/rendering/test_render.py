"""Pictures against what can be computed by hand."""

import drawing
import jax
import numpy as np
import pytest
from drawing import BLACK, HEIGHT, WHITE, WIDTH, draw, scene

from ocgm.datasets.rendering import (
    Body,
    Light,
    Material,
    cull,
    look_at,
    make_scene,
    render,
    render_labels,
    shapes,
    stack_scenes,
    textures,
    yaw,
)

pytestmark = pytest.mark.compiles

GROUND = Body(shapes.ground(), Material(), part=1)
ABOVE = drawing.camera((0, 0, 6), (0, 0, 0), up=(0, 1, 0))
SIDE = drawing.camera((0, -5, 0), (0, 0, 0))


def _ground_points() -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels' centres see the ground from `ABOVE`: x and y, [H, W]."""
    direction = drawing.center_rays(ABOVE)
    point = 6 * direction / -direction[..., 2:]
    return point[..., 0], point[..., 1]


def test_labels_are_those_of_the_centers():
    """A ball's label is where the angle to its centre is small enough, to the pixel."""
    center, radius = np.array([0.7, -0.3, 0.45]), 0.8
    view = drawing.camera((0.3, -4, 1.5), (0, 0, 0.2))
    body = Body(shapes.sphere(radius), Material(), center, label=255, part=200)
    _, labels, parts = draw(scene([body], view))
    toward = center - view.position
    distance = np.linalg.norm(toward)
    cosine = drawing.center_rays(view) @ toward / distance
    expected = cosine > np.sqrt(1 - (radius / distance) ** 2)
    assert 100 < expected.sum() < expected.size
    np.testing.assert_array_equal(labels[0] == 255, expected)
    np.testing.assert_array_equal(parts[0] == 200, expected)


@pytest.mark.parametrize("order", [1, -1])
def test_nearer_hides_farther(order):
    near = Body(shapes.sphere(0.3), Material(), (0, -2, 0), label=1)
    far = Body(shapes.box((3, 0.1, 1.5)), Material(), (0, 1, 0), label=2)
    _, labels, _ = draw(scene([near, far][::order], SIDE))
    assert labels[0, HEIGHT // 2, WIDTH // 2] == 1
    assert labels[0, HEIGHT // 2, WIDTH // 2 + 10] == 2
    assert labels[0, 0, 0] == 0


def test_behind_the_camera_is_nothing():
    around = Body(shapes.sphere(1.0), Material(), (0, -5, 0), label=1)
    behind = Body(shapes.box((9, 1, 9)), Material(), (0, -8, 0), label=1)
    assert not draw(scene([around, behind], SIDE))[1].any()


@pytest.mark.parametrize("quarter, brightness", [(1, 0.25), (3, 0.75)])
def test_edges_are_fractional(quarter, brightness):
    """A quarter of a pixel covers two corners; three quarters the centre as well."""
    column = WIDTH // 2 + 4
    edge = (4 + quarter / 4) * 5 / drawing.FOCAL_LENGTH
    half = Body(shapes.wall((8, 8)), Material(), (edge - 4, 0, 0), label=1)
    image, labels, _ = draw(scene([half], SIDE))
    np.testing.assert_allclose(image[0, :, column], 255 * brightness, atol=1)
    assert (image[0, :, :column] == 255).all() and (image[0, :, column + 1 :] == 0).all()
    assert (labels[0, :, : column + 1].sum(axis=1) == column + (quarter == 3)).all()


def test_shadow_is_where_light_is_kept_out():
    """Sun from the upper right: a ball's shadow is an ellipse to the left, and dark."""
    ball = Body(shapes.sphere(0.4), Material(), (0.6, 0.2, 1.5), label=1)
    sun = Light((1, 0, 1), color=WHITE, directional=True)
    dim = (0.2, 0.2, 0.2)
    image, labels, _ = draw(scene([GROUND, ball], ABOVE, sun, (dim, dim)))
    x, y = _ground_points()
    ellipse = ((x + 0.9) / (0.4 * 2**0.5)) ** 2 + ((y - 0.2) / 0.4) ** 2
    ground = labels[0] == 0
    dark, lit = ground & (ellipse < 0.6), ground & (ellipse > 1.5)
    assert dark.sum() > 10
    np.testing.assert_allclose(image[0][dark], 255 * 0.2, atol=1)
    # The sun stands at 45 degrees; pixels at the ball's outline are part ball.
    outline = np.zeros_like(lit)
    rows, columns = np.nonzero(labels[0] == 1)
    outline[rows.min() - 1 : rows.max() + 2, columns.min() - 1 : columns.max() + 2] = True
    np.testing.assert_allclose(image[0][lit & ~outline], 255 * (0.2 + 0.5**0.5), atol=1)


@pytest.mark.parametrize("who", ["light", "body"])
def test_shadows_can_be_left_out(who):
    body_casts = who == "light"
    ball = Body(shapes.sphere(0.4), Material(), (0.6, 0, 1.5), label=1, casts_shadow=body_casts)
    sun = Light((1, 0, 1), color=WHITE, directional=True, casts_shadow=not body_casts)
    image, labels, _ = draw(scene([GROUND, ball], ABOVE, sun, (BLACK, BLACK)))
    assert image[0][labels[0] == 0].min() > 100


def test_lamp_casts_no_shadow_of_what_is_behind_it():
    ball = Body(shapes.sphere(0.4), Material(), (0, 0, 3.5), label=1)
    lamp = Light((0, 0, 2), color=WHITE)
    bodies = [GROUND, ball]
    with_ball, labels, _ = draw(scene(bodies, ABOVE, lamp, (BLACK, BLACK)))
    without, _, _ = draw(scene(bodies[:1], ABOVE, lamp, (BLACK, BLACK)))
    farther = np.abs(_ground_points()[0]) > 1.5
    np.testing.assert_array_equal(with_ball[0][farther], without[0][farther])
    assert labels.any()


def test_large_lamps_have_soft_shadows():
    """Seen from above, a sharp shadow's edge is a pixel wide and a soft one's several."""
    ball = Body(shapes.sphere(0.5), Material(), (0.9, 0, 1.0), label=1)
    widths = []
    for radius in (0.0, 0.4):
        sun = Light((1, 0, 1), color=WHITE, directional=True, radius=radius)
        image, _, parts = draw(scene([GROUND, ball], ABOVE, sun, (BLACK, BLACK)))
        row = image[0, HEIGHT // 2, :, 0][parts[0, HEIGHT // 2] == 1].astype(int)
        widths.append(((row > 20) & (row < 0.9 * row.max())).sum())
    assert widths[0] <= 3
    assert widths[1] >= widths[0] + 3


def test_diffuse_light():
    """An upright wall gets the mean of both ambient lights, and of the sun the cosine."""
    for angle in (0, 60):
        toward = (np.sin(np.radians(angle)), -np.cos(np.radians(angle)), 0)
        light = Light(toward, (0.5, 0.5, 0.5), directional=True)
        wall = Body(shapes.wall((9, 9)), Material((0.8, 0.4, 0.2)))
        image, _, _ = draw(scene([wall], SIDE, light, ((0.1,) * 3, (0.3,) * 3)))
        expected = 255 * np.array([0.8, 0.4, 0.2]) * (0.2 + 0.5 * np.cos(np.radians(angle)))
        np.testing.assert_allclose(image[0, HEIGHT // 2, WIDTH // 2], expected, atol=1)


def test_spotlight_and_highlight():
    x, y = _ground_points()
    cosine = 4 / np.sqrt(x**2 + y**2 + 16)
    spot = Light((0, 0, 4), color=(0.9,) * 3, spot_exponent=5.0)
    image, _, _ = draw(scene([GROUND], ABOVE, spot, (BLACK, BLACK)))
    np.testing.assert_allclose(image[0, ..., 0], 255 * 0.9 * cosine**6, atol=1.5)

    glossy = Body(shapes.ground(), Material(BLACK, specular=0.7, shininess=40.0))
    sun = Light((0, 0, 1), color=WHITE, directional=True)
    image, _, _ = draw(scene([glossy], ABOVE, sun))
    half = np.sqrt((1 - drawing.center_rays(ABOVE)[..., 2]) / 2)
    np.testing.assert_allclose(image[0, ..., 0], 255 * 0.7 * half**40, atol=1.5)

    gold = Material((1.0, 0.5, 0.0), specular=0.7, shininess=40.0, reflectivity=1.0)
    tinted, _, _ = draw(scene([Body(shapes.ground(), gold)], ABOVE, sun))
    np.testing.assert_allclose(tinted[0], image[0] * np.array(gold.color), atol=1)


def test_mirrors():
    """A mirror shows the sky and what stands on it, in its tint; without `mirrors` it is black."""
    mirror = Body(shapes.ground(), Material((1, 1, 0.5), reflectivity=1.0), part=1)
    post = Body(shapes.box((0.5, 0.5, 2)), Material((1, 0, 0)), (0, 1, 1), label=1)
    view = drawing.camera((0, -4, 1), (0, 0, 0.5))
    lit = make_scene(
        [mirror, post], [drawing.DARK], view, 4, 10, (WHITE, WHITE), ((0, 1, 1), (0, 1, 1))
    )
    plain = draw(lit)[0][0]
    image = draw(lit, mirrors=True)[0][0]
    assert not plain[-1].any()
    np.testing.assert_allclose(image[-1, 0], [0, 255, 128], atol=1)
    np.testing.assert_allclose(image[32, WIDTH // 2], [255, 0, 0], atol=1)


def test_bevel_bends_the_normal_near_edges():
    light = Light((1, 0, 0), color=WHITE, directional=True)
    images = []
    for bevel in (0.0, 0.4):
        box = Body(shapes.box((2, 2, 2)), Material(bevel=bevel), label=1)
        images.append(draw(scene([box], SIDE, light, (BLACK, BLACK)))[0][0, HEIGHT // 2, :, 0])
    assert not images[0].any()
    right = np.nonzero(images[1])[0]
    assert right.min() > WIDTH // 2 + 5 and images[1].max() > 100


def test_texture_is_upright():
    """A wall of one repetition shows the bitmap as it is, not flipped or turned."""
    material = Material(texture="print_1", texture_size=(3.5, 3.5), texture_offset=(0.5, 0.5))
    wall = Body(shapes.wall((3.5, 3.5)), material, label=1)
    image, labels, _ = draw(scene([wall], SIDE))
    rows, columns = np.nonzero(labels[0])
    shown = image[0, rows, columns].astype(float)
    # 35 pixels square, in the middle.
    u, v = (columns + 0.5 - WIDTH / 2) / 35 + 0.5, (rows + 0.5 - HEIGHT / 2) / 35 + 0.5
    bitmap = textures.bitmap("print_1").astype(float)
    errors = []
    for flip_u, flip_v in ((False, False), (True, False), (False, True)):
        row = np.clip(256 * (1 - v if flip_v else v), 0, 255).astype(int)
        column = np.clip(256 * (1 - u if flip_u else u), 0, 255).astype(int)
        errors.append(abs(bitmap[row, column] - shown).mean())
    assert errors[0] < 0.7 * min(errors[1:])


def test_gamma():
    wall = Body(shapes.wall((9, 9)), Material((0.5, 0.25, 1.0)))
    image, _, _ = draw(scene([wall], SIDE).replace(gamma=np.float32(2.2)))
    expected = 255 * np.array([0.5, 0.25, 1.0]) ** (1 / 2.2)
    np.testing.assert_allclose(image[0, 0, 0], expected, atol=1)


def test_batch_equals_single_and_repeats():
    ball = Body(shapes.icosahedron(0.5), Material((1, 0, 0)), (0, 0, 0.5), yaw(20), label=1)
    bar = Body(shapes.triangle(1, 1, 0.2), Material((0, 1, 0)), (0, 0, 0.5), yaw(20), label=2)
    lamp = Light((2, -3, 4), radius=0.2)
    view = drawing.camera((1, -4, 2), (0, 0, 0.4))
    first, second = scene([ball], view, lamp), scene([bar], view, lamp)
    batch = draw(first, second)
    for values, ones, twos in zip(batch, draw(first), draw(second), strict=True):
        np.testing.assert_array_equal(values[0], ones[0])
        np.testing.assert_array_equal(values[1], twos[0])
    assert (batch[0][0] != batch[0][1]).any()
    together = render(stack_scenes([first, second]), HEIGHT, WIDTH, images_at_once=2)
    np.testing.assert_array_equal(together.labels, batch[1])
    assert abs(np.int32(together.image) - batch[0]).max() <= 1
    assert isinstance(together.image, jax.Array) and together.image.dtype == np.uint8


def test_too_little_room():
    view = look_at((0, -1, 0), (0, 0, 0), 10.0, 8, 8)
    ball = Body(shapes.sphere(1), Material())
    with pytest.raises(ValueError, match="3 pieces .* capacity of 2"):
        make_scene([ball] * 3, [drawing.DARK], view, num_pieces=2)
    with pytest.raises(ValueError, match="10 slabs"):
        make_scene([Body(shapes.icosahedron(1), Material())], [drawing.DARK], view, 1, 4)


def test_no_light():
    view = look_at((0, -1, 0), (0, 0, 0), 10.0, 8, 8)
    with pytest.raises(ValueError, match="no light"):
        make_scene([GROUND], [], view, num_pieces=2)


def test_labels_alone():
    """They are those of the whole picture, from every side of every kind of piece."""
    bodies = [
        GROUND,
        Body(shapes.icosahedron(0.5), Material(), (0, 0, 0.5), label=1),
        Body(shapes.cone(0.4, 0.8), Material(), (1, 0, 0.4), label=2),
        Body(shapes.box((0.4, 0.4, 0.4)), Material(), (-1, 0, 0.2), yaw(30), label=3),
    ]
    scenes = [
        scene(bodies, drawing.camera(place, (0, 0, 0.3))) for place in ((0, -4, 2), (4, 1, 1))
    ]
    labels = np.asarray(render_labels(stack_scenes(scenes), HEIGHT, WIDTH))
    assert labels.dtype == np.uint8 and len(np.unique(labels)) == 4
    np.testing.assert_array_equal(labels, draw(*scenes)[1])


def test_culling_changes_nothing():
    """Of pieces around the camera, those out of sight go; those that cast shadows into view stay."""
    sun = Light((1, 0, 1), color=WHITE, directional=True)
    view = drawing.camera((0, -4, 1), (0, 0, 0.5))
    places = [(0, 0, 0.5), (0, -8, 0.5), (9, 0, 0.5)]
    for casts_shadow, kept in ((False, 2), (True, 4)):
        balls = [
            Body(shapes.sphere(0.5), Material(), place, label=i, casts_shadow=casts_shadow)
            for i, place in enumerate(places, 1)
        ]
        whole = scene([GROUND, *balls], view, sun, ((0.2,) * 3,) * 2)
        culled = cull(whole, HEIGHT, WIDTH)
        assert culled.pieces.num_pieces == kept
        for values, expected in zip(draw(culled), draw(whole), strict=True):
            np.testing.assert_array_equal(values, expected)
