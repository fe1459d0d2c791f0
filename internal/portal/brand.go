package portal

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// Brand is what an operator puts in place of ours. Each part may be empty.
type Brand struct {
	Name string
	// Color is #rrggbb.
	Color string
	// Logo is a picture.
	Logo []byte
}

// MaxLogo bounds the picture, in bytes.
const MaxLogo = 256 << 10

// ErrLogo means that a file is no picture that pages can show.
var ErrLogo = errors.New("must be an SVG, PNG, JPEG or WebP picture of at most 256 KiB")

const (
	productName = "Fanfare"
	logoAsset   = "brand-logo"
	styleAsset  = "brand.css"
)

// loadBrand makes files of the brand, to be served like our own.
func (p *Portal) loadBrand(b Brand) error {
	if b.Color != "" {
		style, err := brandStyle(b.Color)
		if err != nil {
			return err
		}
		p.addAsset(styleAsset, []byte(style))
	}
	if b.Logo == nil {
		return nil
	}
	if err := CheckLogo(b.Logo); err != nil {
		return err
	}
	p.addAsset(logoAsset, b.Logo)
	return nil
}

// CheckLogo reports whether pages can show a picture; the error is ErrLogo.
func CheckLogo(data []byte) error {
	if len(data) > MaxLogo || logoType(data) == "" {
		return ErrLogo
	}
	return nil
}

// logoType is the content type of a picture; "" for what is none.
func logoType(data []byte) string {
	switch kind := http.DetectContentType(data); {
	case kind == "image/png", kind == "image/jpeg", kind == "image/webp":
		return kind
	case strings.Contains(string(data[:min(len(data), 1024)]), "<svg"):
		return "image/svg+xml"
	default:
		return ""
	}
}

func (p *Portal) brandName() string {
	if p.cfg.Brand.Name != "" {
		return p.cfg.Brand.Name
	}
	return productName
}

// rgb is a color whose parts go from 0 to 1.
type rgb [3]float64

var (
	white, black = rgb{1, 1, 1}, rgb{0, 0, 0}
	// The surfaces on which links and the accent stand that give them the least
	// contrast: --neutral-soft of app.css in both themes.
	lightSurface, darkSurface = mustColor("#ececf0"), mustColor("#26282f")
)

func mustColor(text string) rgb {
	c, err := parseColor(text)
	if err != nil {
		panic(err) // it is ours
	}
	return c
}

func parseColor(text string) (rgb, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "#"), 16, 32)
	if err != nil || len(text) != 7 {
		return rgb{}, fmt.Errorf("color %q: must be # and six hexadecimal digits", text)
	}
	return rgb{float64(n>>16&0xff) / 255, float64(n>>8&0xff) / 255, float64(n&0xff) / 255}, nil
}

// String is #rrggbb.
func (c rgb) String() string {
	part := func(v float64) int { return int(math.Round(255 * v)) }
	return fmt.Sprintf("#%02x%02x%02x", part(c[0]), part(c[1]), part(c[2]))
}

func (c rgb) mix(other rgb, share float64) rgb {
	for i := range c {
		c[i] += (other[i] - c[i]) * share
	}
	return c
}

// luminance and contrast are those of WCAG 2.2.
func (c rgb) luminance() float64 {
	linear := func(v float64) float64 {
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}

func contrast(a, b rgb) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// readable is the contrast that text needs.
const readable = 4.5

// accent moves a color towards another until text in it can be read, on a
// surface and on its own soft shade.
func accent(c, towards, surface rgb, softly float64) (text, soft rgb) {
	for share := 0.0; ; share += 0.02 {
		text = c.mix(towards, min(share, 1))
		soft = surface.mix(text, softly)
		if share >= 1 || contrast(text, surface) >= readable && contrast(text, soft) >= readable {
			return text, soft
		}
	}
}

// inkOn is what can be read on a color: white or black.
func inkOn(c rgb) rgb {
	if contrast(c, white) >= contrast(c, black) {
		return white
	}
	return black
}

// brandStyle puts a color into the place of our accent, in both themes.
func brandStyle(color string) (string, error) {
	c, err := parseColor(color)
	if err != nil {
		return "", err
	}
	light, lightSoft := accent(c, black, lightSurface, 0.06)
	dark, darkSoft := accent(c, white, darkSurface, 0.12)
	return fmt.Sprintf(`:root {
  --accent: light-dark(%[1]s, %[2]s);
  --accent-fill: light-dark(%[1]s, %[2]s);
  --accent-ink: light-dark(%[3]s, %[4]s);
  --accent-soft: light-dark(%[5]s, %[6]s);
}
`, light, dark, inkOn(light), inkOn(dark), lightSoft, darkSoft), nil
}
