/*
 * words_trade.c
 *	  Words for products, companies, mail hosts and short remarks.
 *
 * Constant data, safe in any process.  The mail hosts are under names that
 * RFC 2606 reserves, so no message can reach a stranger.
 */
#include "postgres.h"

#include "generator/words.h"

static const char *const quality[] = {
	"Compact", "Deluxe", "Heavy-Duty", "Classic", "Premium", "Portable",
	"Adjustable", "Folding", "Wireless", "Rechargeable", "Insulated",
	"Waterproof", "Ergonomic", "Lightweight", "Industrial", "Magnetic",
	"Miniature", "Oversized", "Precision", "Quick-Release", "Reversible",
	"Rugged", "Silent", "Slim", "Smart", "Stackable", "Telescopic",
	"Universal", "Vintage", "Modular", "Polished", "Brushed", "Everyday",
	"Professional", "Travel", "Outdoor", "Kitchen", "Garden", "Workshop",
	"Office", "Marine", "Solar", "Digital", "Manual", "Automatic",
	"Double-Walled", "Non-Slip", "Self-Locking", "Space-Saving", "Turbo"
};

static const char *const material[] = {
	"Steel", "Aluminum", "Oak", "Bamboo", "Ceramic", "Glass", "Rubber",
	"Copper", "Brass", "Leather", "Canvas", "Nylon", "Carbon", "Titanium",
	"Walnut", "Maple", "Silicone", "Porcelain", "Granite", "Cotton",
	"Wool", "Linen", "Acrylic", "Bronze", "Iron", "Cork", "Teak", "Vinyl"
};

static const char *const thing[] = {
	"Widget", "Gadget", "Bracket", "Clamp", "Hinge", "Valve", "Gasket",
	"Bearing", "Pulley", "Coupling", "Lamp", "Lantern", "Kettle", "Mug",
	"Bottle", "Knife", "Cutting Board", "Skillet", "Toolbox", "Wrench",
	"Hammer", "Screwdriver", "Ladder", "Shelf", "Cabinet", "Drawer", "Chair",
	"Stool", "Table", "Desk", "Backpack", "Tote", "Wallet", "Umbrella",
	"Tent", "Cooler", "Hammock", "Blanket", "Pillow", "Towel", "Clock",
	"Thermostat", "Sensor", "Speaker", "Charger", "Adapter", "Cable",
	"Tripod", "Planter", "Hose", "Sprinkler", "Rake", "Shears", "Bird Feeder",
	"Candle Holder", "Picture Frame", "Mirror", "Rug", "Mat", "Hook"
};

static const char *const company[] = {
	"Summit", "Pioneer", "Cascade", "Keystone", "Evergreen", "Lakeside",
	"Ironwood", "Bluestone", "Northwind", "Redwood", "Silverline",
	"Brightwater", "Stonebridge", "Harborview", "Meridian", "Atlas",
	"Beacon", "Cardinal", "Crescent", "Cornerstone", "Falcon", "Frontier",
	"Granite", "Heartland", "Horizon", "Juniper", "Liberty", "Lighthouse",
	"Magnolia", "Millbrook", "Monarch", "Oakridge", "Orchard", "Pinnacle",
	"Prairie", "Quantum", "Riverside", "Sierra", "Sterling", "Sunrise",
	"Tidewater", "Timberline", "Trident", "Union", "Vanguard", "Westfield",
	"Whitewater", "Wildflower", "Yellowstone", "Zenith", "Copperfield",
	"Fairmont", "Glenwood", "Hawthorne", "Kingsley", "Langdon", "Marlow",
	"Norwood", "Ellery", "Prescott", "Radcliffe", "Thornton", "Waverly"
};

static const char *const company_kind[] = {
	"Supply Co", "Industries", "Manufacturing", "Trading", "Products",
	"Hardware", "Wholesale", "Brothers", "and Sons", "Partners", "Works",
	"Goods", "Imports", "Distribution", "Tools", "Home"
};

static const char *const mail_host[] = {
	"mail.example", "example.com", "example.net", "example.org",
	"post.example", "inbox.example", "home.example", "fastmail.example",
	"letters.example", "webmail.example", "cable.example", "work.example"
};

static const char *const opening[] = {
	"Please", "Kindly", "If possible,", "As agreed,", "Before delivery,",
	"After noon,", "On arrival,", "For the holidays,", "Next week,",
	"When nobody answers,", "As last time,", "Before the weekend,"
};

static const char *const verb[] = {
	"leave", "wrap", "label", "inspect", "replace", "ship", "check", "pack",
	"combine", "hold", "return", "deliver", "count", "photograph", "test",
	"bring", "exchange", "forward"
};

static const char *const object[] = {
	"the parcel", "every item", "the larger box", "the receipt",
	"the fragile parts", "both orders", "the gift", "the spare parts",
	"the invoice", "the second package", "all boxes", "the warranty card",
	"the damaged piece", "the whole set", "the sample"
};

static const char *const closing[] = {
	"at the front door", "with the neighbor", "in plain paper",
	"before signing", "at the side entrance", "with extra care",
	"behind the gate", "at the loading dock", "by the end of the day",
	"with the office on the first floor", "in one shipment",
	"without a price tag", "as soon as you can", "at the reception",
	"in the original box", "under the porch"
};

const WhWords wh_words_quality = {quality, lengthof(quality)};
const WhWords wh_words_material = {material, lengthof(material)};
const WhWords wh_words_thing = {thing, lengthof(thing)};
const WhWords wh_words_company = {company, lengthof(company)};
const WhWords wh_words_company_kind = {company_kind, lengthof(company_kind)};
const WhWords wh_words_mail_host = {mail_host, lengthof(mail_host)};
const WhWords wh_words_opening = {opening, lengthof(opening)};
const WhWords wh_words_verb = {verb, lengthof(verb)};
const WhWords wh_words_object = {object, lengthof(object)};
const WhWords wh_words_closing = {closing, lengthof(closing)};
