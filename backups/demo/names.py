"""First and family names of the guests, by culture, and the people of the story.

Written as their owners write them: a backup that cannot keep "Nguyễn Thị Hương" is broken.
"""

from __future__ import annotations

# culture -> (first names, family names). After "|": the spelling in an e-mail address, where it cannot be derived.
CULTURES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "english": (
        ("Olivia", "George", "Amelia", "Harry", "Isla", "Arthur", "Florence", "Edward", "Poppy", "Thomas"),
        ("Whitfield", "Ashdown", "Fairweather", "Hargreaves", "Pemberton", "O'Connor", "Lockwood"),
    ),
    "welsh": (("Siân", "Rhys", "Carys", "Gethin"), ("Llewellyn", "Prydderch", "Môr-Jones")),
    "irish": (("Aoife", "Ciarán", "Niamh", "Séamus"), ("Ó Súilleabháin", "Byrne", "Nic Dhòmhnaill")),
    "french": (("Chloé", "Étienne", "Maëlys", "François", "Zoé"), ("Lefèvre", "d'Aubigné", "Géroux")),
    "german": (("Jürgen", "Käthe", "Sören", "Lieselotte"), ("Groß", "Müller-Lüdenscheid", "Schönfeld")),
    "spanish": (("Íñigo", "Begoña", "Nuria", "Álvaro"), ("Muñoz Ibáñez", "García Peña", "de la Cruz")),
    "polish": (("Łukasz", "Małgorzata", "Zbigniew", "Żaneta"), ("Wójcik", "Dąbrowska", "Brzęczyszczykiewicz")),
    "turkish": (("Ayşe", "İbrahim", "Gülşen", "Çağrı"), ("Yıldız", "Öztürk", "Şahin")),
    "indian": (("Priya", "Arjun", "Lakshmi", "Ravi", "Ananya"), ("Iyer", "Chatterjee", "Venkataraman")),
    "pakistani": (("Zainab", "Imran", "Sana", "Faisal"), ("Qureshi", "Chaudhry", "Malik")),
    "nigerian": (("Chidinma", "Olúwaṣeun", "Adaeze", "Tunde"), ("Okonkwo", "Adéyẹmí", "Ẹ̀bùn")),
    "vietnamese": (("Thị Hương", "Văn Đức", "Ngọc Ánh"), ("Nguyễn", "Trần", "Phạm")),
    "japanese": (("花子|hanako", "健太|kenta", "美咲|misaki"), ("佐藤|sato", "高橋|takahashi")),
    "korean": (("지우|jiwoo", "민준|minjun"), ("김|kim", "박|park")),
    "greek": (("Ελένη|eleni", "Γιώργος|giorgos"), ("Παπαδόπουλος|papadopoulos", "Νικολάου|nikolaou")),
    "ukrainian": (("Оксана|oksana", "Богдан|bohdan"), ("Шевченко|shevchenko", "Коваленко|kovalenko")),
    "arabic": (("ليلى|layla", "يوسف|yusuf"), ("الحداد|alhaddad", "منصور|mansour")),
    "hebrew": (("נועה|noa", "דניאל|daniel"), ("לוי|levi", "אברהם|avraham")),
    "icelandic": (("Þórdís", "Björn", "Ásta"), ("Guðmundsdóttir", "Sigurðsson")),
}

# How often a culture is drawn, 2 if not named: large families make a list look like one.
WEIGHTS: dict[str, int] = {"english": 14, "indian": 8, "french": 3, "german": 3, "polish": 3}

# Their names can be printed with the fonts every PDF reader has.
COUPLES: tuple[tuple[str, str], ...] = (
    ("Amelia Hargreaves", "Arjun Iyer"),
    ("Chloé Lefèvre", "Edward Whitfield"),
    ("Begoña Muñoz", "Thomas Ashdown"),
    ("Priya Chatterjee", "Sören Schönfeld"),
    ("Florence Lockwood", "Rhys Llewellyn"),
    ("Zoé Géroux", "Ravi Venkataraman"),
)
