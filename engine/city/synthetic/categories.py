"""The two-level taxonomy of places: where a kind of place is found, when it is open, and what people do there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """A leaf category.

    Attributes:
        name: As a person would say it.
        parent: Root category.
        activity: Why people go; empty for places that are only context.
        share: How common it is among all points of interest.
        zones: Relative frequency by zone function; functions left out get `elsewhere`.
        hours: Opening and closing hour, local; beyond 24 is after midnight.
        outdoor: Whether rain spoils it.
        pull: Relative attraction of one such place.
        elsewhere: Relative frequency in the other built zones.
    """

    name: str
    parent: str
    activity: str
    share: float
    zones: dict[str, float]
    hours: tuple[float, float]
    outdoor: bool = False
    pull: float = 1.0
    elsewhere: float = 0.15


_CENTRAL = {"business": 3.0, "shopping": 3.0, "nightlife": 2.0, "station": 2.5, "seafront": 2.0, "campus": 1.2, "residential": 0.5}
_LOCAL = {"residential": 1.0, "shopping": 1.2, "station": 1.0, "business": 0.6, "campus": 0.8, "seafront": 0.6}
_NIGHT = {"nightlife": 9.0, "seafront": 1.5, "campus": 1.0, "station": 0.8, "business": 0.5}
_SHOPS = {"shopping": 7.0, "business": 1.0, "station": 1.0, "seafront": 0.8, "residential": 0.25}
_WORKS = {"industry": 6.0, "station": 0.5, "residential": 0.08}
_CAMPUS = {"campus": 12.0}
_GREEN = {"park": 8.0, "seafront": 1.0, "residential": 0.4, "countryside": 0.5}

FOOD, SHOP, NIGHT, ARTS, OUT = "Food", "Shop & Service", "Nightlife Spot", "Arts & Entertainment", "Outdoors & Recreation"
LEARN, WORK, MOVE, HOME, CARE = "Education", "Professional & Other Places", "Travel & Transport", "Residence", "Health and Public"

CATEGORIES: tuple[Category, ...] = (
    Category("Coffee Shop", FOOD, "coffee", 5.0, _CENTRAL, (6, 20)),
    Category("Bakery", FOOD, "coffee", 2.2, _LOCAL, (6, 18)),
    Category("Tea Room", FOOD, "coffee", 0.9, {"seafront": 3, "park": 1.5, "shopping": 1}, (9, 19)),
    Category("Sandwich Place", FOOD, "lunch", 2.4, _CENTRAL, (10, 17)),
    Category("Salad Bar", FOOD, "lunch", 1.2, {"business": 5, "campus": 2, "shopping": 1.5}, (10, 19)),
    Category("Noodle House", FOOD, "lunch", 1.6, _CENTRAL, (11, 22)),
    Category("Food Court", FOOD, "lunch", 0.5, _SHOPS, (10, 21), pull=1.6),
    Category("Canteen", FOOD, "lunch", 0.9, _WORKS | {"campus": 5.0}, (10, 16)),
    Category("Burger Joint", FOOD, "dinner", 1.5, _CENTRAL, (11, 24)),
    Category("Pizza Place", FOOD, "dinner", 2.2, _LOCAL | {"nightlife": 2.0}, (11, 24)),
    Category("Seafood Restaurant", FOOD, "dinner", 1.2, {"seafront": 7, "nightlife": 2}, (12, 23)),
    Category("Bistro", FOOD, "dinner", 1.8, _CENTRAL, (12, 23)),
    Category("Curry House", FOOD, "dinner", 1.4, _LOCAL | {"nightlife": 2.0}, (12, 24)),
    Category("Steakhouse", FOOD, "dinner", 0.7, {"business": 2, "nightlife": 3}, (17, 24)),
    Category("Ice Cream Parlour", FOOD, "treat", 0.8, {"seafront": 6, "park": 2, "shopping": 1}, (11, 21), outdoor=True),
    Category("Pub", NIGHT, "drinks", 2.6, _NIGHT | {"residential": 0.7}, (12, 24)),
    Category("Cocktail Bar", NIGHT, "drinks", 1.6, _NIGHT, (17, 27)),
    Category("Wine Bar", NIGHT, "drinks", 0.9, _NIGHT | {"business": 2.0}, (16, 25)),
    Category("Beer Garden", NIGHT, "drinks", 0.6, {"park": 2, "nightlife": 4, "seafront": 2}, (14, 24), outdoor=True),
    Category("Nightclub", NIGHT, "club", 0.9, {"nightlife": 10, "industry": 1}, (21, 29), pull=1.5, elsewhere=0.0),
    Category("Karaoke Bar", NIGHT, "club", 0.5, {"nightlife": 8, "campus": 1}, (19, 27), elsewhere=0.02),
    Category("Music Venue", NIGHT, "club", 0.6, {"nightlife": 6, "campus": 2, "industry": 1}, (18, 27), elsewhere=0.02),
    Category("Supermarket", SHOP, "groceries", 2.0, _LOCAL, (7, 22), pull=2.5),
    Category("Convenience Store", SHOP, "groceries", 2.6, _LOCAL, (6, 24)),
    Category("Greengrocer", SHOP, "groceries", 1.2, _LOCAL, (8, 19)),
    Category("Clothing Store", SHOP, "shopping", 3.0, _SHOPS, (10, 20)),
    Category("Shoe Store", SHOP, "shopping", 1.2, _SHOPS, (10, 20)),
    Category("Bookshop", SHOP, "shopping", 1.1, _SHOPS | {"campus": 4.0}, (9, 20)),
    Category("Electronics Store", SHOP, "shopping", 1.2, _SHOPS, (10, 20)),
    Category("Shopping Mall", SHOP, "shopping", 0.35, {"shopping": 8, "station": 1}, (9, 21), pull=6.0, elsewhere=0.0),
    Category("Furniture Store", SHOP, "shopping", 0.8, {"shopping": 3, "industry": 3}, (10, 20)),
    Category("Hairdresser", SHOP, "errand", 1.8, _LOCAL, (9, 19)),
    Category("Bank", SHOP, "errand", 1.3, {"business": 4, "shopping": 2, "station": 1}, (9, 17)),
    Category("Post Office", SHOP, "errand", 0.8, _LOCAL, (9, 18)),
    Category("Laundry", SHOP, "errand", 0.9, _LOCAL | {"campus": 1.5}, (7, 21)),
    Category("Museum", ARTS, "culture", 0.5, {"seafront": 3, "business": 2, "campus": 2}, (10, 18), pull=3.0),
    Category("Art Gallery", ARTS, "culture", 0.9, {"nightlife": 2, "seafront": 2, "shopping": 2}, (10, 19)),
    Category("Cinema", ARTS, "film", 0.6, {"shopping": 5, "nightlife": 3}, (12, 25), pull=2.5),
    Category("Theatre", ARTS, "film", 0.4, {"nightlife": 4, "business": 2}, (18, 24), pull=2.0),
    Category("Aquarium", ARTS, "sights", 0.25, {"seafront": 6}, (9, 19), pull=4.0, elsewhere=0.0),
    Category("Historic Site", ARTS, "sights", 0.7,
             {"seafront": 3, "business": 2, "station": 1, "park": 1}, (8, 20), outdoor=True, pull=2.0),
    Category("Lookout", ARTS, "sights", 0.5, {"seafront": 4, "park": 3, "countryside": 1}, (7, 22), outdoor=True, elsewhere=0.0),
    Category("Park", OUT, "park", 1.6, _GREEN, (6, 22), outdoor=True, pull=2.0, elsewhere=0.1),
    Category("Playground", OUT, "park", 1.1, {"residential": 1.5, "park": 4}, (8, 20), outdoor=True),
    Category("Beach", OUT, "beach", 0.6, {"seafront": 9}, (7, 21), outdoor=True, pull=3.0, elsewhere=0.0),
    Category("Riverside Walk", OUT, "park", 0.5, {"nightlife": 2, "park": 3, "residential": 0.6}, (6, 23), outdoor=True),
    Category("Football Pitch", OUT, "sports", 0.7,
             {"park": 4, "campus": 3, "residential": 0.6, "countryside": 0.5}, (9, 22), outdoor=True),
    Category("Gym", OUT, "gym", 1.6, {"business": 2, "residential": 0.8, "campus": 2, "shopping": 1}, (6, 23)),
    Category("Swimming Pool", OUT, "gym", 0.5, {"residential": 0.8, "campus": 2, "seafront": 1}, (7, 22), pull=1.5),
    Category("Yoga Studio", OUT, "gym", 0.7, {"residential": 0.7, "nightlife": 1, "business": 1}, (7, 21)),
    Category("University Building", LEARN, "study", 1.3, _CAMPUS, (8, 21), pull=3.0, elsewhere=0.0),
    Category("Library", LEARN, "library", 0.6, {"campus": 7, "residential": 0.4, "business": 0.5}, (9, 22), pull=2.0),
    Category("Student Union", LEARN, "drinks", 0.2, _CAMPUS, (10, 25), pull=1.5, elsewhere=0.0),
    Category("School", LEARN, "", 1.2, {"residential": 1.5, "campus": 0.5}, (8, 16)),
    Category("Office", WORK, "work", 2.6,
             {"business": 10, "station": 2.5, "nightlife": 0.5, "shopping": 0.4}, (6, 22), pull=2.0, elsewhere=0.05),
    Category("Coworking Space", WORK, "cowork", 0.6, {"business": 3, "nightlife": 3, "station": 2}, (7, 22)),
    Category("Factory", WORK, "shift", 1.0, {"industry": 10}, (0, 24), pull=2.0, elsewhere=0.0),
    Category("Warehouse", WORK, "shift", 0.8, {"industry": 8, "station": 0.5}, (0, 24), elsewhere=0.0),
    Category("Hospital", CARE, "health", 0.25, {"residential": 1, "campus": 1.5, "business": 0.5}, (0, 24), pull=5.0),
    Category("Medical Practice", CARE, "health", 1.1, _LOCAL, (8, 18)),
    Category("Pharmacy", CARE, "errand", 1.4, _LOCAL, (8, 21)),
    Category("Town Hall", CARE, "errand", 0.2, {"business": 3, "residential": 0.2}, (8, 17)),
    Category("Place of Worship", CARE, "worship", 0.9, {"residential": 1.2, "business": 0.5}, (8, 20)),
    Category("Train Station", MOVE, "travel", 0.3, {"station": 10, "residential": 0.3, "campus": 0.4}, (4, 25), pull=5.0),
    Category("Ferry Terminal", MOVE, "travel", 0.12, {"seafront": 4, "industry": 1}, (5, 23), pull=2.0, elsewhere=0.0),
    Category("Hotel", MOVE, "hotel", 0.9, {"seafront": 9, "station": 3, "business": 0.4}, (0, 24), pull=1.5, elsewhere=0.03),
    Category("Bus Stop", MOVE, "", 5.0, {}, (0, 24), elsewhere=1.0),
    Category("Parking", MOVE, "", 2.0, {"shopping": 2, "business": 1.5, "industry": 1.5, "station": 2}, (0, 24), elsewhere=0.5),
    Category("Cash Machine", SHOP, "", 2.0, _CENTRAL, (0, 24)),
    Category("Residential Building", HOME, "home", 0.0,
             {"residential": 5, "campus": 1, "nightlife": 0.5, "seafront": 1}, (0, 24), elsewhere=0.05),
    Category("Student Housing", HOME, "home", 0.0, {"campus": 6, "residential": 0.4}, (0, 24), elsewhere=0.0),
)  # fmt: skip

BY_NAME = {category.name: category for category in CATEGORIES}
HOME_CATEGORIES = ("Residential Building", "Student Housing")
