"""Invented names of districts, streets and businesses."""

from collections.abc import Sequence

import numpy as np

DISTRICT_BY_FUNCTION = {
    "business": ("Exchange", "Guildmoor", "Tallow Cross"),
    "campus": ("University Hill", "Scholars Rise"),
    "nightlife": ("Lantern Quay", "Copper Row"),
    "seafront": ("Seafront", "Tern Sands", "Kelp Bay"),
    "industry": ("Harbour Works", "Foundry Reach", "Kilnside"),
    "shopping": ("Market Cross", "Weavers Gate"),
}

_STEM = (
    "Ald", "Ash", "Bram", "Brin", "Cald", "Carr", "Dun", "Eller", "Fen", "Gar", "Hart", "Hazel", "Kell", "Lark", "Lind", "Marl",
    "Merrow", "Nether", "Orrin", "Pell", "Quarr", "Rook", "Saltern", "Silver", "Tarn", "Thorn", "Under", "Wen", "Whin", "Yarrow",
)  # fmt: skip
_DISTRICT_END = (
    "field",
    "wick",
    "brook",
    "holm",
    "stead",
    "combe",
    "ley",
    "garth",
    "worth",
    "mere",
    " Hill",
    " Green",
    " Park",
    " End",
)
_STREET_HEAD = (
    "Amber", "Anchor", "Barley", "Beacon", "Bell", "Birch", "Bridge", "Brine", "Candle", "Castle", "Cedar", "Chapel", "Clover",
    "Coopers", "Coral", "Cotton", "Dove", "Drover", "Eel", "Elder", "Falcon", "Ferry", "Fern", "Finch", "Flint", "Garnet", "Glass",
    "Gull", "Hawthorn", "Heron", "Holly", "Iron", "Ivy", "Juniper", "Kestrel", "Kiln", "Lamp", "Laurel", "Linen", "Lodge", "Maple",
    "Mason", "Mill", "Minster", "Mulberry", "Oak", "Orchard", "Otter", "Paper", "Pearl", "Plover", "Poplar", "Potters", "Quarry",
    "Quill", "Raven", "Reed", "Ropewalk", "Rowan", "Saddlers", "Sage", "Sail", "Slate", "Spindle", "Spring", "Stable", "Stone",
    "Swan", "Tanner", "Tern", "Thistle", "Tide", "Timber", "Vine", "Walnut", "Water", "Wharf", "Willow", "Windmill", "Wool",
)  # fmt: skip
_BEFORE = ("", "Upper ", "Lower ", "North ", "South ", "East ", "West ", "Old ", "New ")
_STREET_KIND = ("Street", "Street", "Lane", "Road", "Row", "Close", "Terrace", "Way", "Place")
_FIRST = (
    "Amara", "Bertil", "Cosima", "Dario", "Edda", "Fenn", "Greta", "Hollis", "Imre", "Juno", "Kasper", "Lotte", "Mabel", "Nico",
    "Odile", "Pim", "Quinn", "Rosa", "Silas", "Tove", "Ulla", "Vigo", "Wren", "Xenia", "Yorick", "Zelda",
)  # fmt: skip
_ADJECTIVE = (
    "Blue", "Bright", "Brass", "Corner", "Crooked", "Daily", "Early", "Fair", "Golden", "Good", "Green", "Happy", "Hidden",
    "Little", "Lucky", "Old", "Open", "Quiet", "Red", "Round", "Salty", "Second", "Silver", "Slow", "Sunny", "True", "White",
)  # fmt: skip


PATTERNS: dict[str, tuple[str, ...]] = {
    "Coffee Shop": ("{adjective} {thing} Coffee", "{first}'s Coffee", "{street} Coffee House"),
    "Bakery": ("{first}'s Bakery", "{adjective} Oven", "{street} Bakehouse"),
    "Tea Room": ("The {adjective} Teapot", "{thing} Tea Room"),
    "Sandwich Place": ("{first}'s Sandwiches", "{adjective} Crust"),
    "Salad Bar": ("{adjective} Leaf", "{thing} Greens"),
    "Noodle House": ("{adjective} Noodle", "{first}'s Noodle House"),
    "Food Court": ("{street} Food Court",),
    "Canteen": ("{district} Canteen", "{street} Works Canteen"),
    "Burger Joint": ("{adjective} Burger", "{first}'s Burgers"),
    "Pizza Place": ("Pizzeria {first}", "{adjective} Slice"),
    "Seafood Restaurant": ("The {adjective} Crab", "{stem} Fish House"),
    "Bistro": ("Bistro {first}", "The {adjective} Table"),
    "Curry House": ("{adjective} Saffron", "{thing} Curry House"),
    "Steakhouse": ("{stem} Grill", "{adjective} Ember"),
    "Ice Cream Parlour": ("{first}'s Gelato", "{adjective} Cone"),
    "Pub": ("The {adjective} {thing}", "The {stem} Arms"),
    "Cocktail Bar": ("{adjective} Hour", "Bar {first}"),
    "Wine Bar": ("{thing} & Vine", "{adjective} Cork"),
    "Beer Garden": ("{street} Beer Garden",),
    "Nightclub": ("Club {thing}", "{adjective} Room"),
    "Karaoke Bar": ("{adjective} Echo",),
    "Music Venue": ("The {thing} Hall", "{stem} Live"),
    "Supermarket": ("{stem} Market", "{street} Superstore"),
    "Convenience Store": ("{street} Corner Shop", "{first}'s Mini Market"),
    "Greengrocer": ("{first}'s Greens", "{adjective} Pear"),
    "Clothing Store": ("{stem} & Daughters", "{adjective} Thread", "{first} Clothing"),
    "Shoe Store": ("{adjective} Sole", "{first} Shoes"),
    "Bookshop": ("{street} Books", "The {adjective} Page"),
    "Electronics Store": ("{stem} Electrics", "{adjective} Circuit"),
    "Shopping Mall": ("{district} Centre", "{stem} Arcade"),
    "Furniture Store": ("{stem} Home", "{adjective} Chair"),
    "Hairdresser": ("{first} Hair", "{adjective} Scissors"),
    "Bank": ("{stem} Savings", "Bank of {stem}mouth"),
    "Post Office": ("{district} Post Office",),
    "Laundry": ("{adjective} Bubble", "{street} Laundry"),
    "Museum": ("{stem} Museum", "Museum of {thing} and Tide"),
    "Art Gallery": ("{thing} Gallery",),
    "Cinema": ("{adjective} Screen", "{street} Cinema"),
    "Theatre": ("{stem} Theatre",),
    "Aquarium": ("{stem} Aquarium",),
    "Historic Site": ("{stem} Gate", "Old {thing} Tower"),
    "Lookout": ("{stem} Lookout", "{thing} Point"),
    "Park": ("{stem} Park", "{street} Gardens"),
    "Playground": ("{street} Playground",),
    "Beach": ("{stem} Beach", "{thing} Sands"),
    "Riverside Walk": ("{stem} Embankment",),
    "Football Pitch": ("{district} Rovers Ground",),
    "Gym": ("{adjective} Iron Gym", "{stem} Fitness"),
    "Swimming Pool": ("{district} Baths",),
    "Yoga Studio": ("{adjective} Breath",),
    "University Building": ("{first} Building", "Faculty of {thing} Studies"),
    "Library": ("{stem} Library",),
    "Student Union": ("{stem} Student Union",),
    "School": ("{district} School", "{stem} Academy"),
    "Office": ("{stem} House", "{adjective} {thing} Partners", "{stem} & {thing}"),
    "Coworking Space": ("{adjective} Desk", "{street} Commons"),
    "Factory": ("{stem} Works", "{thing} Mill"),
    "Warehouse": ("{stem} Depot", "{thing} Logistics"),
    "Hospital": ("{stem} Hospital",),
    "Medical Practice": ("{street} Practice", "Dr {first} {stem}"),
    "Pharmacy": ("{street} Pharmacy",),
    "Town Hall": ("{district} Town Hall",),
    "Place of Worship": ("{stem} Chapel", "{street} Temple"),
    "Train Station": ("{district} Station",),
    "Ferry Terminal": ("{stem} Ferry",),
    "Hotel": ("Hotel {first}", "The {stem} Grand"),
    "Bus Stop": ("{street} Stop",),
    "Parking": ("{street} Car Park",),
    "Cash Machine": ("{street} Cash Point",),
    "Residential Building": ("{street} Court", "{stem} House", "{first} Mansions"),
    "Student Housing": ("{stem} Hall", "{first} Hall of Residence"),
}


def _shuffled(combinations: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """`count` different names in a drawn order; from the second round on with a word in front, at last with a number."""
    order = rng.permutation(len(combinations))
    labels = []
    for index in range(count):
        turn, label = index // len(order), combinations[order[index % len(order)]]
        labels.append(f"{_BEFORE[turn]}{label}" if turn < len(_BEFORE) else f"{label} {turn + 1}")
    return labels


def district_names(count: int, rng: np.random.Generator) -> list[str]:
    """Different district names."""
    return _shuffled([stem + end for stem in _STEM for end in _DISTRICT_END], count, rng)


def street_names(count: int, rng: np.random.Generator, kinds: Sequence[str] = _STREET_KIND) -> list[str]:
    """Different street names."""
    return _shuffled([f"{head} {kind}" for head in _STREET_HEAD for kind in dict.fromkeys(kinds)], count, rng)


def place_name(pattern: str, street: str, district: str, rng: np.random.Generator) -> str:
    """A business name from a pattern such as `{first}'s Diner` or `{street} Pharmacy`."""
    head = street.rsplit(" ", 1)[0] if street else district
    return pattern.format(
        first=_FIRST[rng.integers(len(_FIRST))],
        adjective=_ADJECTIVE[rng.integers(len(_ADJECTIVE))],
        thing=_STREET_HEAD[rng.integers(len(_STREET_HEAD))],
        stem=_STEM[rng.integers(len(_STEM))],
        street=head,
        district=district,
    )
