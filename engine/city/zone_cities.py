"""Cities and towns of the world with the time zone their clocks keep: those that lie away from the city a zone is named after.

Large cities are here so that a guess can be sure of them, towns in thinly settled land and near borders so that a guess notices
another clock in time. `engine.city.zones` adds the principal city of every zone.
"""

CITIES: dict[str, str] = {
    # Asia
    "Asia/Shanghai": (
        "Beijing 116.4 39.9, Guangzhou 113.3 23.1, Shenzhen 114.1 22.6, Chengdu 104.1 30.7, Chongqing 106.6 29.6, "
        "Wuhan 114.3 30.6, Xi'an 108.9 34.3, Hangzhou 120.2 30.3, Nanjing 118.8 32.1, Tianjin 117.2 39.1, Shenyang 123.4 41.8, "
        "Harbin 126.6 45.8, Zhengzhou 113.7 34.8, Changsha 112.9 28.2, Kunming 102.7 25.0, Qingdao 120.4 36.1, Jinan 117.0 36.7, "
        "Dalian 121.6 38.9, Xiamen 118.1 24.5, Fuzhou 119.3 26.1, Nanning 108.4 22.8, Lanzhou 103.8 36.1, Changchun 125.3 43.9, "
        "Hefei 117.2 31.8, Nanchang 115.9 28.7, Guiyang 106.7 26.6, Taiyuan 112.5 37.9, Shijiazhuang 114.5 38.0, "
        "Hohhot 111.7 40.8, Baotou 109.8 40.7, Yinchuan 106.2 38.5, Xining 101.8 36.6, Lhasa 91.1 29.7, Shigatse 88.9 29.3, "
        "Haikou 110.3 20.0, Sanya 109.5 18.3, Wenzhou 120.7 28.0, Ningbo 121.5 29.9, Yantai 121.4 37.5, Dandong 124.3 40.2, "
        "Yanji 129.5 42.9, Qiqihar 123.9 47.3, Hailar 119.7 49.2, Heihe 127.5 50.2, Manzhouli 117.4 49.6, Jiamusi 130.3 46.8, "
        "Golmud 94.9 36.4, Jiayuguan 98.3 39.8, Dali 100.2 25.6, Jinghong 100.8 22.0, Qamdo 97.2 31.1, Nyingchi 94.4 29.6, "
        "Mangshi 98.6 24.4, Lijiang 100.2 26.9, Erenhot 112.0 43.7, Ngari 80.1 32.5, Ürümqi 87.6 43.8, Kashgar 76.0 39.5, "
        "Hotan 79.9 37.1, Yining 81.3 43.9, Korla 86.1 41.8, Hami 93.5 42.8, Altay 88.1 47.8, Aksu 80.3 41.2"
    ),
    "Asia/Hong_Kong": "Tuen Mun 114.0 22.4",
    "Asia/Taipei": "Kaohsiung 120.3 22.6, Taichung 120.7 24.1",
    "Asia/Tokyo": (
        "Osaka 135.5 34.7, Nagoya 136.9 35.2, Fukuoka 130.4 33.6, Sapporo 141.4 43.1, Sendai 140.9 38.3, Hiroshima 132.5 34.4, "
        "Niigata 139.0 37.9, Kanazawa 136.7 36.6, Kagoshima 130.6 31.6, Naha 127.7 26.2, Kushiro 144.4 43.0, Ishigaki 124.2 24.4"
    ),
    "Asia/Seoul": "Busan 129.1 35.2, Daegu 128.6 35.9, Gwangju 126.9 35.2, Jeju 126.5 33.5",
    "Asia/Pyongyang": "Hamhung 127.5 39.9, Chongjin 129.8 41.8, Sinuiju 124.4 40.1",
    "Asia/Ulaanbaatar": "Darkhan 105.9 49.5, Choibalsan 114.5 48.1, Dalanzadgad 104.4 43.6",
    "Asia/Manila": "Cebu 123.9 10.3, Davao 125.6 7.1, Zamboanga 122.1 6.9, Puerto Princesa 118.7 9.7",
    "Asia/Jakarta": (
        "Surabaya 112.7 -7.3, Bandung 107.6 -6.9, Medan 98.7 3.6, Batam 104.0 1.1, Palembang 104.8 -3.0, Semarang 110.4 -7.0, "
        "Yogyakarta 110.4 -7.8, Padang 100.4 -0.9, Pekanbaru 101.4 0.5, Banda Aceh 95.3 5.6, Banyuwangi 114.4 -8.2, "
        "Bengkulu 102.3 -3.8, Tanjung Pinang 104.5 0.9, Dumai 101.4 1.7, Malang 112.6 -8.0"
    ),
    "Asia/Pontianak": "Palangka Raya 113.9 -2.2, Singkawang 109.0 0.9, Sintang 111.5 0.1",
    "Asia/Makassar": (
        "Denpasar 115.2 -8.7, Manado 124.8 1.5, Samarinda 117.1 -0.5, Balikpapan 116.8 -1.3, Banjarmasin 114.6 -3.3, "
        "Kupang 123.6 -10.2, Mataram 116.1 -8.6, Palu 119.9 -0.9, Kendari 122.5 -4.0, Tarakan 117.6 3.3, Singaraja 115.1 -8.1, "
        "Ende 121.7 -8.8"
    ),
    "Asia/Jayapura": "Ambon 128.2 -3.7, Sorong 131.3 -0.9, Timika 136.9 -4.5, Merauke 140.4 -8.5, Ternate 127.4 0.8",
    "Asia/Kuala_Lumpur": (
        "Penang 100.3 5.4, Ipoh 101.1 4.6, Johor Bahru 103.7 1.5, Kota Bharu 102.2 6.1, Kuantan 103.3 3.8, Alor Setar 100.4 6.1"
    ),
    "Asia/Kuching": "Kota Kinabalu 116.1 6.0, Sandakan 118.1 5.8, Miri 114.0 4.4, Tawau 117.9 4.2, Sibu 111.8 2.3",
    "Asia/Bangkok": (
        "Chiang Mai 99.0 18.8, Hat Yai 100.5 7.0, Khon Kaen 102.8 16.4, Phuket 98.4 7.9, Udon Thani 102.8 17.4, "
        "Ubon Ratchathani 104.9 15.2, Nakhon Ratchasima 102.1 15.0, Chiang Rai 99.8 19.9, Mae Sot 98.6 16.7, Pattani 101.3 6.9, "
        "Ranong 98.6 10.0"
    ),
    "Asia/Ho_Chi_Minh": (
        "Hanoi 105.8 21.0, Da Nang 108.2 16.1, Hai Phong 106.7 20.9, Can Tho 105.8 10.0, Nha Trang 109.2 12.2, Vinh 105.7 18.7, "
        "Lang Son 106.8 21.9"
    ),
    "Asia/Vientiane": "Luang Prabang 102.1 19.9, Pakse 105.8 15.1",
    "Asia/Phnom_Penh": "Siem Reap 103.9 13.4",
    "Asia/Yangon": (
        "Mandalay 96.1 22.0, Naypyidaw 96.1 19.7, Mawlamyine 97.6 16.5, Myitkyina 97.4 25.4, Sittwe 92.9 20.1, Lashio 97.8 22.9, "
        "Taunggyi 97.0 20.8, Dawei 98.2 14.1, Kengtung 99.6 21.3"
    ),
    "Asia/Dhaka": (
        "Chittagong 91.8 22.4, Khulna 89.6 22.8, Rajshahi 88.6 24.4, Sylhet 91.9 24.9, Rangpur 89.3 25.7, Cox's Bazar 92.0 21.4, "
        "Comilla 91.2 23.5"
    ),
    "Asia/Kathmandu": "Pokhara 84.0 28.2, Biratnagar 87.3 26.5, Birgunj 84.9 27.0, Nepalgunj 81.6 28.1, Dhangadhi 80.6 28.7",
    "Asia/Kolkata": (
        "Delhi 77.2 28.6, Mumbai 72.9 19.1, Bengaluru 77.6 13.0, Chennai 80.3 13.1, Hyderabad 78.5 17.4, Pune 73.9 18.5, "
        "Ahmedabad 72.6 23.0, Surat 72.8 21.2, Jaipur 75.8 26.9, Lucknow 80.9 26.8, Kanpur 80.3 26.5, Nagpur 79.1 21.1, "
        "Indore 75.9 22.7, Bhopal 77.4 23.3, Patna 85.1 25.6, Siliguri 88.4 26.7, Guwahati 91.7 26.1, Amritsar 74.9 31.6, "
        "Ludhiana 75.9 30.9, Chandigarh 76.8 30.7, Jammu 74.9 32.7, Srinagar 74.8 34.1, Varanasi 83.0 25.3, Gorakhpur 83.4 26.8, "
        "Ranchi 85.3 23.4, Bhubaneswar 85.8 20.3, Visakhapatnam 83.3 17.7, Kochi 76.3 10.0, Thiruvananthapuram 76.9 8.5, "
        "Coimbatore 77.0 11.0, Madurai 78.1 9.9, Rajkot 70.8 22.3, Jodhpur 73.0 26.3, Raipur 81.6 21.3, Dehradun 78.0 30.3, "
        "Agartala 91.3 23.8, Imphal 93.9 24.8, Dibrugarh 94.9 27.5, Silchar 92.8 24.8, Aizawl 92.7 23.7, Shillong 91.9 25.6, "
        "Gangtok 88.6 27.3, Darbhanga 85.9 26.2, Bareilly 79.4 28.4, Bikaner 73.3 28.0, Jaisalmer 70.9 26.9, Bhuj 69.7 23.2, "
        "Vijayawada 80.6 16.5, Goa 73.8 15.5, Aurangabad 75.3 19.9, Leh 77.6 34.2, Shimla 77.2 31.1, Malda 88.1 25.0, "
        "Asansol 87.0 23.7, Cooch Behar 89.4 26.3, Tezpur 92.8 26.6, Kohima 94.1 25.7, Tiruchirappalli 78.7 10.8, "
        "Port Blair 92.7 11.7, Pithoragarh 80.2 29.6, Purnia 87.5 25.8"
    ),
    "Asia/Colombo": "Jaffna 80.0 9.7, Kandy 80.6 7.3, Trincomalee 81.2 8.6",
    "Asia/Karachi": (
        "Lahore 74.3 31.5, Islamabad 73.0 33.7, Faisalabad 73.1 31.4, Multan 71.5 30.2, Peshawar 71.5 34.0, Quetta 67.0 30.2, "
        "Hyderabad 68.4 25.4, Sukkur 68.9 27.7, Sialkot 74.5 32.5, Bahawalpur 71.7 29.4, Gwadar 62.3 25.1, Gilgit 74.3 35.9, "
        "Chaman 66.5 30.9, Dera Ismail Khan 70.9 31.8, Panjgur 64.1 27.0"
    ),
    "Asia/Kabul": (
        "Herat 62.2 34.3, Kandahar 65.7 31.6, Mazar-i-Sharif 67.1 36.7, Jalalabad 70.5 34.4, Kunduz 68.9 36.7, Zaranj 61.9 31.0, "
        "Khost 69.9 33.3, Lashkar Gah 64.4 31.6"
    ),
    "Asia/Tehran": (
        "Mashhad 59.6 36.3, Tabriz 46.3 38.1, Isfahan 51.7 32.7, Shiraz 52.5 29.6, Ahvaz 48.7 31.3, Qom 50.9 34.6, "
        "Kermanshah 47.1 34.3, Urmia 45.1 37.6, Rasht 49.6 37.3, Zahedan 60.9 29.5, Kerman 57.1 30.3, Bandar Abbas 56.3 27.2, "
        "Ardabil 48.3 38.2, Gorgan 54.4 36.8, Yazd 54.4 31.9, Bushehr 50.8 28.9, Mahshahr 49.2 30.6, Bojnurd 57.3 37.5, "
        "Sanandaj 47.0 35.3, Zabol 61.5 31.0, Chabahar 60.6 25.3, Birjand 59.2 32.9, Khoy 44.9 38.6"
    ),
    "Asia/Baghdad": (
        "Basra 47.8 30.5, Mosul 43.1 36.3, Erbil 44.0 36.2, Sulaymaniyah 45.4 35.6, Najaf 44.3 32.0, Kirkuk 44.4 35.5, "
        "Duhok 43.0 36.9, Ramadi 43.3 33.4, Rutba 40.3 33.0, Amarah 47.1 31.8"
    ),
    "Asia/Riyadh": (
        "Jeddah 39.2 21.5, Dammam 50.1 26.4, Mecca 39.8 21.4, Medina 39.6 24.5, Tabuk 36.6 28.4, Abha 42.5 18.2, Hail 41.7 27.5, "
        "Jizan 42.6 16.9, Arar 41.0 31.0, Al Hofuf 49.6 25.4, Buraidah 44.0 26.3, Najran 44.1 17.5, Sharurah 47.1 17.5"
    ),
    "Asia/Aden": "Sanaa 44.2 15.4, Mukalla 49.1 14.5, Taiz 44.0 13.6, Hodeidah 42.9 14.8, Al Ghaydah 52.2 16.2",
    "Asia/Dubai": "Abu Dhabi 54.4 24.5, Al Ain 55.7 24.2, Fujairah 56.3 25.1, Ruwais 52.7 24.1",
    "Asia/Muscat": "Salalah 54.1 17.0, Sohar 56.7 24.3, Nizwa 57.5 22.9, Duqm 57.7 19.7",
    "Asia/Amman": "Irbid 35.9 32.6, Aqaba 35.0 29.5, Zarqa 36.1 32.1, Maan 35.7 30.2",
    "Asia/Jerusalem": "Tel Aviv 34.8 32.1, Haifa 35.0 32.8, Beersheba 34.8 31.3, Eilat 34.9 29.6",
    "Asia/Beirut": "Tripoli 35.8 34.4",
    "Asia/Damascus": (
        "Aleppo 37.2 36.2, Homs 36.7 34.7, Latakia 35.8 35.5, Deir ez-Zor 40.1 35.3, Hasakah 40.7 36.5, Daraa 36.1 32.6"
    ),
    "Asia/Tashkent": "Namangan 71.7 41.0, Andijan 72.3 40.8, Fergana 71.8 40.4",
    "Asia/Samarkand": "Bukhara 64.4 39.8, Nukus 59.6 42.5, Urgench 60.6 41.6, Termez 67.3 37.2",
    "Asia/Almaty": (
        "Astana 71.4 51.2, Shymkent 69.6 42.3, Karaganda 73.1 49.8, Taraz 71.4 42.9, Pavlodar 77.0 52.3, Oskemen 82.6 49.9, "
        "Semey 80.2 50.4, Kokshetau 69.4 53.3, Petropavl 69.1 54.9, Balkhash 75.0 46.8, Zaysan 84.9 47.5, Zhezkazgan 67.7 47.8"
    ),
    "Asia/Bishkek": "Osh 72.8 40.5, Karakol 78.4 42.5, Naryn 76.0 41.4, Talas 72.2 42.5",
    "Asia/Dushanbe": "Khujand 69.6 40.3, Khorog 71.6 37.5, Kulob 69.8 37.9",
    "Asia/Ashgabat": "Mary 61.8 37.6, Turkmenabat 63.6 39.1, Dashoguz 60.0 41.8, Turkmenbashi 53.0 40.0, Balkanabat 54.4 39.5",
    "Asia/Baku": "Ganja 46.4 40.7, Nakhchivan 45.4 39.2, Lankaran 48.8 38.8",
    "Asia/Yerevan": "Gyumri 43.8 40.8",
    "Asia/Tbilisi": "Batumi 41.6 41.6, Kutaisi 42.7 42.3",
    "Europe/Istanbul": (
        "Ankara 32.9 39.9, Izmir 27.1 38.4, Adana 35.3 37.0, Gaziantep 37.4 37.1, Antalya 30.7 36.9, Konya 32.5 37.9, "
        "Trabzon 39.7 41.0, Diyarbakir 40.2 37.9, Van 43.4 38.5, Erzurum 41.3 39.9, Samsun 36.3 41.3, Edirne 26.6 41.7, "
        "Kars 43.1 40.6, Bodrum 27.4 37.0, Antakya 36.2 36.2, Canakkale 26.4 40.1, Mardin 40.7 37.3, Sirnak 42.5 37.5, "
        "Hopa 41.4 41.4, Hakkari 43.7 37.6, Igdir 44.0 39.9, Kirklareli 27.2 41.7"
    ),
    # Russia
    "Europe/Moscow": (
        "Saint Petersburg 30.3 59.9, Nizhny Novgorod 44.0 56.3, Rostov-on-Don 39.7 47.2, Kazan 49.1 55.8, Voronezh 39.2 51.7, "
        "Krasnodar 39.0 45.0, Sochi 39.7 43.6, Makhachkala 47.5 43.0, Arkhangelsk 40.5 64.5, Murmansk 33.1 69.0, "
        "Smolensk 32.0 54.8, Belgorod 36.6 50.6, Bryansk 34.4 53.2, Pskov 28.3 57.8, Petrozavodsk 34.3 61.8, Penza 45.0 53.2, "
        "Yaroslavl 39.9 57.6, Ukhta 53.7 63.6, Vladikavkaz 44.7 43.0, Kursk 36.2 51.7, Grozny 45.7 43.3, Elista 44.3 46.3, "
        "Vorkuta 64.0 67.5, Taganrog 38.9 47.2, Vyborg 28.8 60.7, Cherepovets 37.9 59.1, Syktyvkar 50.8 61.7, "
        "Novorossiysk 37.8 44.7, Yoshkar-Ola 47.9 56.6, Naberezhnye Chelny 52.4 55.7, Stavropol 42.0 45.0, Tambov 41.4 52.7, "
        "Saransk 45.2 54.2, Velikiye Luki 30.5 56.3, Kandalaksha 32.4 67.2, Naryan-Mar 53.0 67.6"
    ),
    "Europe/Samara": "Izhevsk 53.2 56.8, Tolyatti 49.4 53.5",
    "Asia/Yekaterinburg": (
        "Chelyabinsk 61.4 55.2, Ufa 56.0 54.7, Perm 56.2 58.0, Tyumen 65.5 57.2, Orenburg 55.1 51.8, Surgut 73.4 61.3, "
        "Magnitogorsk 59.0 53.4, Salekhard 66.6 66.5, Nizhnevartovsk 76.6 60.9, Novy Urengoy 76.7 66.1, Kurgan 65.3 55.5, "
        "Orsk 58.5 51.2, Tobolsk 68.3 58.2, Serov 60.6 59.6, Khanty-Mansiysk 69.0 61.0"
    ),
    "Asia/Omsk": "Isilkul 71.3 54.9",
    "Asia/Krasnoyarsk": (
        "Abakan 91.4 53.7, Norilsk 88.2 69.3, Kyzyl 94.4 51.7, Yeniseysk 92.2 58.5, Dudinka 86.2 69.4, Khatanga 102.5 72.0, "
        "Tura 100.2 64.3"
    ),
    "Asia/Novosibirsk": "Karasuk 78.0 53.7",
    "Asia/Novokuznetsk": "Kemerovo 86.1 55.4",
    "Asia/Barnaul": "Biysk 85.2 52.5, Gorno-Altaysk 86.0 52.0, Rubtsovsk 81.2 51.5, Kosh-Agach 88.7 50.0",
    "Asia/Irkutsk": "Ulan-Ude 107.6 51.8, Bratsk 101.6 56.2, Ust-Kut 105.7 56.8, Kyakhta 106.5 50.4, Taksimo 114.9 56.3",
    "Asia/Chita": "Krasnokamensk 118.0 50.1, Mogocha 119.8 53.7",
    "Asia/Yakutsk": (
        "Blagoveshchensk 127.5 50.3, Neryungri 124.7 56.7, Mirny 114.0 62.5, Tynda 124.7 55.2, Aldan 125.4 58.6, "
        "Lensk 114.9 60.7, Tiksi 128.9 71.6, Vilyuysk 121.6 63.8"
    ),
    "Asia/Vladivostok": (
        "Khabarovsk 135.1 48.5, Komsomolsk-on-Amur 137.0 50.6, Birobidzhan 132.9 48.8, Nakhodka 132.9 42.8, "
        "Nikolayevsk 140.7 53.1, Okhotsk 143.2 59.4, Verkhoyansk 133.4 67.6"
    ),
    # Europe
    "Europe/Berlin": (
        "Munich 11.6 48.1, Hamburg 10.0 53.6, Cologne 7.0 50.9, Frankfurt 8.7 50.1, Stuttgart 9.2 48.8, Leipzig 12.4 51.3, "
        "Dresden 13.7 51.1, Nuremberg 11.1 49.5, Hanover 9.7 52.4, Bremen 8.8 53.1, Rostock 12.1 54.1"
    ),
    "Europe/Paris": (
        "Lyon 4.8 45.8, Marseille 5.4 43.3, Toulouse 1.4 43.6, Bordeaux -0.6 44.8, Lille 3.1 50.6, Nantes -1.6 47.2, "
        "Strasbourg 7.8 48.6, Nice 7.3 43.7, Rennes -1.7 48.1, Montpellier 3.9 43.6, Brest -4.5 48.4, Caen -0.4 49.2, "
        "Le Havre 0.1 49.5, Calais 1.9 50.9, Cherbourg -1.6 49.6, Clermont-Ferrand 3.1 45.8, Dijon 5.0 47.3, Bayonne -1.5 43.5"
    ),
    "Europe/London": (
        "Manchester -2.2 53.5, Birmingham -1.9 52.5, Edinburgh -3.2 56.0, Glasgow -4.3 55.9, Leeds -1.5 53.8, Bristol -2.6 51.5, "
        "Cardiff -3.2 51.5, Liverpool -3.0 53.4, Newcastle -1.6 55.0, Southampton -1.4 50.9, Aberdeen -2.1 57.1, "
        "Belfast -5.9 54.6, Norwich 1.3 52.6, Plymouth -4.1 50.4, Brighton -0.1 50.8, Nottingham -1.1 53.0, Dover 1.3 51.1, "
        "Inverness -4.2 57.5, Derry -7.3 55.0, Kingston upon Hull -0.3 53.7, Lerwick -1.1 60.2"
    ),
    "Europe/Dublin": "Cork -8.5 51.9, Galway -9.1 53.3, Limerick -8.6 52.7",
    "Europe/Madrid": (
        "Barcelona 2.2 41.4, Valencia -0.4 39.5, Seville -6.0 37.4, Bilbao -2.9 43.3, Málaga -4.4 36.7, Zaragoza -0.9 41.6, "
        "Vigo -8.7 42.2, A Coruña -8.4 43.4, Santiago de Compostela -8.5 42.9, Gijón -5.7 43.5, Valladolid -4.7 41.7, "
        "Murcia -1.1 38.0, Palma 2.7 39.6, Granada -3.6 37.2, Badajoz -7.0 38.9, Salamanca -5.7 41.0, Huelva -7.0 37.3, "
        "Cáceres -6.4 39.5, Ourense -7.9 42.3, Zamora -5.7 41.5, Lugo -7.6 43.0, León -5.6 42.6, Ayamonte -7.4 37.2, "
        "Verín -7.4 41.9"
    ),
    "Atlantic/Canary": "Santa Cruz de Tenerife -16.3 28.5, Arrecife -13.6 29.0",
    "Europe/Lisbon": (
        "Porto -8.6 41.2, Braga -8.4 41.6, Coimbra -8.4 40.2, Faro -7.9 37.0, Viana do Castelo -8.8 41.7, Bragança -6.8 41.8, "
        "Évora -7.9 38.6, Guarda -7.3 40.5, Castelo Branco -7.5 39.8, Beja -7.9 38.0, Vila Real -7.7 41.3"
    ),
    "Europe/Rome": (
        "Milan 9.2 45.5, Naples 14.3 40.9, Turin 7.7 45.1, Bologna 11.3 43.8, Palermo 13.4 38.1, Venice 12.3 45.4, "
        "Bari 16.9 41.1, Cagliari 9.1 39.2, Catania 15.1 37.5, Trieste 13.8 45.7, Genoa 8.9 44.4, Lecce 18.2 40.4"
    ),
    "Europe/Zurich": "Geneva 6.1 46.2",
    "Europe/Vienna": "Graz 15.4 47.1, Innsbruck 11.4 47.3, Salzburg 13.0 47.8, Linz 14.3 48.3",
    "Europe/Amsterdam": "Rotterdam 4.5 51.9, Eindhoven 5.5 51.4, Groningen 6.6 53.2",
    "Europe/Brussels": "Antwerp 4.4 51.2, Liège 5.6 50.6",
    "Europe/Copenhagen": "Aarhus 10.2 56.2, Aalborg 9.9 57.0",
    "Europe/Stockholm": (
        "Gothenburg 12.0 57.7, Malmö 13.0 55.6, Umeå 20.3 63.8, Luleå 22.2 65.6, Kiruna 20.2 67.9, Sundsvall 17.3 62.4, "
        "Haparanda 24.1 65.8, Visby 18.3 57.6, Östersund 14.6 63.2, Skellefteå 21.0 64.8, Pajala 23.4 67.2"
    ),
    "Europe/Oslo": (
        "Bergen 5.3 60.4, Trondheim 10.4 63.4, Tromsø 19.0 69.6, Bodø 14.4 67.3, Kirkenes 30.0 69.7, Alta 23.3 70.0, "
        "Karasjok 25.5 69.5, Vadsø 29.7 70.1"
    ),
    "Europe/Helsinki": (
        "Tampere 23.8 61.5, Turku 22.3 60.5, Oulu 25.5 65.0, Rovaniemi 25.7 66.5, Vaasa 21.6 63.1, Kuopio 27.7 62.9, "
        "Joensuu 29.8 62.6, Lappeenranta 28.2 61.1, Kemi 24.6 65.7, Ivalo 27.5 68.7, Muonio 23.7 68.0, Kuusamo 29.2 66.0, "
        "Utsjoki 27.0 69.9, Kajaani 27.7 64.2"
    ),
    "Europe/Tallinn": "Tartu 26.7 58.4, Jõhvi 27.4 59.4",
    "Europe/Riga": "Daugavpils 26.5 55.9, Liepāja 21.0 56.5",
    "Europe/Vilnius": "Kaunas 23.9 54.9, Klaipėda 21.1 55.7",
    "Europe/Kaliningrad": "Chernyakhovsk 21.8 54.6",
    "Europe/Warsaw": (
        "Kraków 19.9 50.1, Wrocław 17.0 51.1, Gdańsk 18.6 54.4, Poznań 16.9 52.4, Łódź 19.5 51.8, Lublin 22.6 51.2, "
        "Białystok 23.2 53.1, Szczecin 14.6 53.4, Katowice 19.0 50.3, Rzeszów 22.0 50.0, Olsztyn 20.5 53.8, Suwałki 22.9 54.1, "
        "Przemyśl 22.8 49.8, Elbląg 19.4 54.2, Chełm 23.5 51.1, Biała Podlaska 23.1 52.0, Zamość 23.3 50.7"
    ),
    "Europe/Prague": "Brno 16.6 49.2, Ostrava 18.3 49.8",
    "Europe/Bratislava": "Košice 21.3 48.7, Prešov 21.2 49.0",
    "Europe/Budapest": (
        "Debrecen 21.6 47.5, Szeged 20.1 46.3, Pécs 18.2 46.1, Miskolc 20.8 48.1, Győr 17.6 47.7, Nyíregyháza 21.7 48.0, "
        "Békéscsaba 21.1 46.7"
    ),
    "Europe/Belgrade": (
        "Novi Sad 19.8 45.3, Niš 21.9 43.3, Pristina 21.2 42.7, Subotica 19.7 46.1, Zrenjanin 20.4 45.4, Zaječar 22.3 43.9, "
        "Vranje 21.9 42.6"
    ),
    "Europe/Zagreb": "Split 16.4 43.5, Osijek 18.7 45.6, Rijeka 14.4 45.3, Dubrovnik 18.1 42.6",
    "Europe/Skopje": "Ohrid 20.8 41.1, Bitola 21.3 41.0, Strumica 22.6 41.4",
    "Europe/Tirane": "Vlorë 19.5 40.5, Korçë 20.8 40.6, Gjirokastër 20.1 40.1",
    "Europe/Bucharest": (
        "Cluj-Napoca 23.6 46.8, Timișoara 21.2 45.8, Iași 27.6 47.2, Constanța 28.6 44.2, Craiova 23.8 44.3, Brașov 25.6 45.7, "
        "Oradea 21.9 47.1, Arad 21.3 46.2, Galați 28.0 45.4, Satu Mare 22.9 47.8, Suceava 26.3 47.7, Târgu Jiu 23.3 45.0, "
        "Sibiu 24.1 45.8, Baia Mare 23.6 47.7, Reșița 21.9 45.3, Deva 22.9 45.9"
    ),
    "Europe/Sofia": (
        "Plovdiv 24.7 42.1, Varna 27.9 43.2, Burgas 27.5 42.5, Ruse 26.0 43.8, Vidin 22.9 44.0, Blagoevgrad 23.1 42.0, "
        "Pleven 24.6 43.4, Haskovo 25.6 41.9"
    ),
    "Europe/Athens": (
        "Thessaloniki 22.9 40.6, Patras 21.7 38.2, Heraklion 25.1 35.3, Rhodes 28.2 36.4, Ioannina 20.9 39.7, "
        "Alexandroupoli 25.9 40.8, Corfu 19.9 39.6, Larissa 22.4 39.6, Mytilene 26.6 39.1, Kos 27.3 36.9, Samos 27.0 37.8, "
        "Chios 26.1 38.4, Florina 21.4 40.8, Kavala 24.4 40.9, Chania 24.0 35.5, Kastoria 21.3 40.5, Orestiada 26.5 41.5, "
        "Lemnos 25.1 39.9"
    ),
    "Asia/Nicosia": "Limassol 33.0 34.7, Paphos 32.4 34.8",
    "Europe/Kyiv": (
        "Kharkiv 36.2 50.0, Odesa 30.7 46.5, Dnipro 35.0 48.5, Lviv 24.0 49.8, Zaporizhzhia 35.1 47.8, Uzhhorod 22.3 48.6, "
        "Chernihiv 31.3 51.5, Sumy 34.8 50.9, Mariupol 37.5 47.1, Donetsk 37.8 48.0, Luhansk 39.3 48.6, Kryvyi Rih 33.4 47.9, "
        "Vinnytsia 28.5 49.2, Kherson 32.6 46.6, Lutsk 25.3 50.7, Poltava 34.6 49.6, Mukachevo 22.7 48.4, Zhytomyr 28.7 50.3, "
        "Kropyvnytskyi 32.3 48.5, Cherkasy 32.1 49.4, Konotop 33.2 51.2, Izium 37.3 49.2, Kovel 24.7 51.2, Rivne 26.3 50.6, "
        "Sarny 26.6 51.3"
    ),
    "Europe/Simferopol": "Sevastopol 33.5 44.6, Kerch 36.5 45.4",
    "Europe/Minsk": (
        "Brest 23.7 52.1, Grodno 23.8 53.7, Gomel 31.0 52.4, Vitebsk 30.2 55.2, Mogilev 30.3 53.9, Pinsk 26.1 52.1, "
        "Polotsk 28.8 55.5, Lida 25.3 53.9, Mozyr 29.3 52.0"
    ),
    "Europe/Chisinau": "Bălți 27.9 47.8, Tiraspol 29.6 46.8",
    "Atlantic/Reykjavik": "Akureyri -18.1 65.7, Egilsstaðir -14.4 65.3",
    # Africa
    "Africa/Cairo": (
        "Alexandria 29.9 31.2, Aswan 32.9 24.1, Luxor 32.6 25.7, Port Said 32.3 31.3, Marsa Matruh 27.2 31.4, "
        "Sharm El Sheikh 34.3 27.9, Arish 33.8 31.1, Asyut 31.2 27.2, Siwa 25.5 29.2, Hurghada 33.8 27.3, Kharga 30.5 25.4, "
        "Abu Simbel 31.6 22.3, Sallum 25.2 31.6"
    ),
    "Africa/Tripoli": (
        "Benghazi 20.1 32.1, Misrata 15.1 32.4, Tobruk 24.0 32.1, Sabha 14.4 27.0, Kufra 23.3 24.2, Ghat 10.2 25.0, "
        "Ghadames 9.5 30.1"
    ),
    "Africa/Tunis": "Sfax 10.8 34.7, Gabès 10.1 33.9, Tozeur 8.1 33.9",
    "Africa/Algiers": (
        "Oran -0.6 35.7, Constantine 6.6 36.4, Tlemcen -1.3 34.9, Béchar -2.2 31.6, Tamanrasset 5.5 22.8, Annaba 7.8 36.9, "
        "Tindouf -8.1 27.7, Ghardaïa 3.7 32.5, Adrar -0.3 27.9, In Salah 2.5 27.2, Djanet 9.5 24.6, "
        "Bordj Badji Mokhtar 1.0 21.3, Ouargla 5.3 31.9, Hassi Messaoud 6.1 31.7"
    ),
    "Africa/Casablanca": (
        "Rabat -6.8 34.0, Marrakesh -8.0 31.6, Fez -5.0 34.0, Tangier -5.8 35.8, Agadir -9.6 30.4, Oujda -1.9 34.7, "
        "Nador -2.9 35.2, Ouarzazate -6.9 30.9, Errachidia -4.4 31.9, Tetouan -5.4 35.6"
    ),
    "Africa/El_Aaiun": "Dakhla -15.9 23.7, Smara -11.7 26.7",
    "Africa/Lagos": (
        "Abuja 7.5 9.1, Ibadan 3.9 7.4, Kano 8.5 12.0, Port Harcourt 7.0 4.8, Benin City 5.6 6.3, Kaduna 7.4 10.5, "
        "Maiduguri 13.2 11.8, Sokoto 5.2 13.1, Jos 8.9 9.9, Enugu 7.5 6.5, Yola 12.5 9.2, Ilorin 4.5 8.5, Calabar 8.3 5.0"
    ),
    "Africa/Niamey": "Agadez 8.0 17.0, Zinder 9.0 13.8, Diffa 12.6 13.3, Arlit 7.4 18.7, Dirkou 12.9 19.0",
    "Africa/Porto-Novo": "Parakou 2.6 9.3, Natitingou 1.4 10.3, Malanville 3.4 11.9",
    "Africa/Douala": "Yaoundé 11.5 3.9, Garoua 13.4 9.3, Bamenda 10.1 6.0, Ngaoundéré 13.6 7.3, Bertoua 13.7 4.6, Maroua 14.3 10.6",
    "Africa/Ndjamena": (
        "Abéché 20.8 13.8, Moundou 16.1 8.6, Faya 19.1 17.9, Am Timan 20.3 11.0, Sarh 18.4 9.1, Mongo 18.7 12.2, Fada 21.6 17.2, "
        "Bardai 17.0 21.4"
    ),
    "Africa/Bangui": "Bria 22.0 6.5, Birao 22.8 10.3, Obo 26.5 5.4, Bakouma 22.8 5.7",
    "Africa/Libreville": "Franceville 13.6 -1.6",
    "Africa/Brazzaville": "Pointe-Noire 11.9 -4.8, Ouesso 16.1 1.6",
    "Africa/Luanda": (
        "Huambo 15.7 -12.8, Lubango 13.5 -14.9, Benguela 13.4 -12.6, Luena 19.9 -11.8, Saurimo 20.4 -9.7, Menongue 17.7 -14.7, "
        "Malanje 16.3 -9.5, Ondjiva 15.7 -17.1, Dundo 20.8 -7.4, Cazombo 22.9 -11.9"
    ),
    "Africa/Kinshasa": "Matadi 13.5 -5.8, Mbandaka 18.3 0.0, Bandundu 17.4 -3.3, Kikwit 18.8 -5.0, Gemena 19.8 3.3",
    "Africa/Lubumbashi": (
        "Kisangani 25.2 0.5, Goma 29.2 -1.7, Bukavu 28.9 -2.5, Mbuji-Mayi 23.6 -6.1, Kananga 22.4 -5.9, Bunia 30.3 1.6, "
        "Kolwezi 25.5 -10.7, Kindu 25.9 -2.9, Kalemie 29.2 -5.9, Isiro 27.6 2.8, Kamina 25.0 -8.7, Buta 24.7 2.8, Beni 29.5 0.5, "
        "Uvira 29.1 -3.4, Tshikapa 20.8 -6.4, Lodja 23.6 -3.5, Moba 29.7 -7.1, Kasaji 23.5 -10.4"
    ),
    "Africa/Windhoek": (
        "Oshakati 15.7 -17.8, Walvis Bay 14.5 -23.0, Keetmanshoop 18.1 -26.6, Rundu 19.8 -17.9, Katima Mulilo 24.3 -17.5, "
        "Lüderitz 15.2 -26.6, Gobabis 19.0 -22.4"
    ),
    "Africa/Johannesburg": (
        "Cape Town 18.4 -33.9, Durban 31.0 -29.9, Bloemfontein 26.2 -29.1, Gqeberha 25.6 -33.9, Polokwane 29.5 -23.9, "
        "Upington 21.3 -28.5, East London 27.9 -33.0, Springbok 17.9 -29.7, Kimberley 24.8 -28.7"
    ),
    "Africa/Harare": "Bulawayo 28.6 -20.2, Victoria Falls 25.8 -17.9",
    "Africa/Gaborone": "Maun 23.4 -20.0, Francistown 27.5 -21.2, Ghanzi 21.7 -21.7, Tsabong 22.4 -26.0",
    "Africa/Lusaka": (
        "Ndola 28.6 -13.0, Livingstone 25.9 -17.9, Mongu 23.1 -15.2, Chipata 32.6 -13.6, Kasama 31.2 -10.2, Solwezi 26.4 -12.2, "
        "Mbala 31.4 -8.9, Zambezi 23.1 -13.5"
    ),
    "Africa/Maputo": (
        "Beira 34.8 -19.8, Nampula 39.3 -15.1, Tete 33.6 -16.2, Pemba 40.5 -13.0, Lichinga 35.2 -13.3, Mueda 39.6 -11.7, "
        "Quelimane 36.9 -17.9"
    ),
    "Africa/Blantyre": "Lilongwe 33.8 -14.0, Mzuzu 34.0 -11.5, Karonga 33.9 -9.9",
    "Africa/Dar_es_Salaam": (
        "Dodoma 35.7 -6.2, Mwanza 32.9 -2.5, Arusha 36.7 -3.4, Mbeya 33.5 -8.9, Kigoma 29.6 -4.9, Tabora 32.8 -5.0, "
        "Mtwara 40.2 -10.3, Songea 35.7 -10.7, Bukoba 31.8 -1.3, Sumbawanga 31.6 -8.0, Kahama 32.6 -3.8, Tunduma 32.8 -9.3"
    ),
    "Africa/Nairobi": (
        "Mombasa 39.7 -4.1, Kisumu 34.8 -0.1, Eldoret 35.3 0.5, Garissa 39.6 -0.5, Lodwar 35.6 3.1, Marsabit 38.0 2.3, "
        "Mandera 41.9 3.9"
    ),
    "Africa/Kampala": "Gulu 32.3 2.8, Mbarara 30.7 -0.6, Arua 30.9 3.0, Fort Portal 30.3 0.7, Kabale 30.0 -1.2, Kasese 30.1 0.2",
    "Africa/Addis_Ababa": (
        "Dire Dawa 41.9 9.6, Mekelle 39.5 13.5, Gondar 37.5 12.6, Jimma 36.8 7.7, Gambela 34.6 8.2, Hawassa 38.5 7.1, "
        "Gode 43.6 5.9, Moyale 39.1 3.5, Assosa 34.5 10.1, Bahir Dar 37.4 11.6, Humera 36.6 14.3, Dembidolo 34.8 8.5"
    ),
    "Africa/Mogadishu": "Hargeisa 44.1 9.6, Kismayo 42.5 -0.4, Bosaso 49.2 11.3, Garowe 48.5 8.4, Galkayo 47.4 6.8",
    "Africa/Asmara": "Assab 42.7 13.0, Barentu 37.6 15.1, Massawa 39.5 15.6",
    "Africa/Khartoum": (
        "Port Sudan 37.2 19.6, Nyala 24.9 12.0, El Obeid 30.2 13.2, Kassala 36.4 15.5, El Geneina 22.4 13.4, "
        "El Fasher 25.3 13.6, Ad-Damazin 34.4 11.8, Dongola 30.5 19.2, Kadugli 29.7 11.0, Wadi Halfa 31.4 21.8, "
        "Gedaref 35.4 14.0, Wad Madani 33.5 14.4, Abu Hamad 33.3 19.5, Kosti 32.7 13.2, El Daein 26.1 11.5"
    ),
    "Africa/Juba": (
        "Malakal 31.7 9.5, Wau 28.0 7.7, Yambio 28.4 4.6, Bentiu 29.8 9.2, Aweil 27.4 8.8, Bor 31.6 6.2, Raga 25.7 8.5, "
        "Torit 32.6 4.4, Renk 32.8 11.8, Kapoeta 33.6 4.8, Pibor 33.1 6.8"
    ),
    "Africa/Abidjan": "Bouaké -5.0 7.7, Man -7.6 7.4",
    "Africa/Accra": "Kumasi -1.6 6.7, Tamale -0.8 9.4, Ho 0.5 6.6",
    "Africa/Lome": "Kara 1.2 9.6, Dapaong 0.2 10.9, Atakpamé 1.1 7.5",
    "Africa/Ouagadougou": "Bobo-Dioulasso -4.3 11.2, Fada N'Gourma 0.4 12.1, Dori 0.0 14.0, Diapaga 1.8 12.1",
    "Africa/Bamako": (
        "Timbuktu -3.0 16.8, Gao 0.0 16.3, Kayes -11.4 14.4, Kidal 1.4 18.4, Taoudenni -4.0 22.7, Tessalit 1.0 20.2, "
        "Ménaka 2.4 15.9"
    ),
    "Africa/Nouakchott": "Nouadhibou -17.0 20.9, Zouérat -12.5 22.7, Néma -7.3 16.6, Bir Moghrein -11.6 25.2",
    # North America
    "America/New_York": (
        "Boston -71.1 42.4, Philadelphia -75.2 40.0, Washington -77.0 38.9, Miami -80.2 25.8, Atlanta -84.4 33.7, "
        "Cleveland -81.7 41.5, Pittsburgh -80.0 40.4, Charlotte -80.8 35.2, Tampa -82.5 28.0, Orlando -81.4 28.5, "
        "Buffalo -78.9 42.9, Columbus -83.0 40.0, Cincinnati -84.5 39.1, Baltimore -76.6 39.3, Albany -73.8 42.7, "
        "Raleigh -78.6 35.8, Jacksonville -81.7 30.3, Richmond -77.4 37.5, Knoxville -83.9 36.0, Chattanooga -85.3 35.0, "
        "Columbus -85.0 32.5, Tallahassee -84.3 30.4, Toledo -83.6 41.7, Lexington -84.5 38.0, Portland -70.3 43.7, "
        "Savannah -81.1 32.1, Dayton -84.2 39.8, Bangor -68.8 44.8, Burlington -73.2 44.5, Charleston -81.6 38.3, "
        "Houlton -67.8 46.1, Macon -83.6 32.8, Charleston -79.9 32.8, Norfolk -76.3 36.9, Syracuse -76.1 43.0"
    ),
    "America/Detroit": (
        "Grand Rapids -85.7 43.0, Lansing -84.6 42.7, Traverse City -85.6 44.8, Marquette -87.4 46.5, "
        "Sault Ste. Marie -84.3 46.5, Kalamazoo -85.6 42.3, Escanaba -87.1 45.7, Houghton -88.6 47.1"
    ),
    "America/Indiana/Indianapolis": (
        "South Bend -86.3 41.7, Fort Wayne -85.1 41.1, Lafayette -86.9 40.4, Terre Haute -87.4 39.5, Bloomington -86.5 39.2, "
        "Elkhart -86.0 41.7"
    ),
    "America/Chicago": (
        "Houston -95.4 29.8, Dallas -96.8 32.8, San Antonio -98.5 29.4, Austin -97.7 30.3, Minneapolis -93.3 45.0, "
        "St. Louis -90.2 38.6, New Orleans -90.1 30.0, Kansas City -94.6 39.1, Nashville -86.8 36.2, Memphis -90.0 35.1, "
        "Milwaukee -87.9 43.0, Oklahoma City -97.5 35.5, Birmingham -86.8 33.5, Omaha -96.0 41.3, Des Moines -93.6 41.6, "
        "Wichita -97.3 37.7, Tulsa -96.0 36.2, Little Rock -92.3 34.7, Mobile -88.0 30.7, Pensacola -87.2 30.4, "
        "Huntsville -86.6 34.7, Evansville -87.6 38.0, Gary -87.3 41.6, Fargo -96.8 46.9, Sioux Falls -96.7 43.5, "
        "Bismarck -100.8 46.8, Amarillo -101.8 35.2, Lubbock -101.9 33.6, Midland -102.1 32.0, Brownsville -97.5 25.9, "
        "Laredo -99.5 27.5, Duluth -92.1 46.8, Green Bay -88.0 44.5, Rockford -89.1 42.3, Shreveport -93.8 32.5, "
        "Jackson -90.2 32.3, Corpus Christi -97.4 27.8, McAllen -98.2 26.2, Dothan -85.4 31.2, Panama City -85.7 30.2, "
        "Montgomery -86.3 32.4, Madison -89.4 43.1, Iron Mountain -88.1 45.8, Bowling Green -86.4 37.0, Pierre -100.3 44.4, "
        "North Platte -100.8 41.1, Dodge City -100.0 37.8, Grand Forks -97.0 47.9, International Falls -93.4 48.6, "
        "Minot -101.3 48.2, Del Rio -100.9 29.4, Paducah -88.6 37.1, Cookeville -85.5 36.2, Wausau -89.6 45.0, "
        "Anniston -85.8 33.7, Garden City -100.9 38.0, Fort Stockton -102.9 30.9, Eagle Pass -100.5 28.7"
    ),
    "America/Denver": (
        "Salt Lake City -111.9 40.8, Albuquerque -106.7 35.1, El Paso -106.5 31.8, Colorado Springs -104.8 38.8, "
        "Billings -108.5 45.8, Cheyenne -104.8 41.1, Rapid City -103.2 44.1, Las Cruces -106.8 32.3, Santa Fe -105.9 35.7, "
        "Missoula -114.0 46.9, Great Falls -111.3 47.5, Grand Junction -108.6 39.1, St. George -113.6 37.1, "
        "Farmington -108.2 36.7, Scottsbluff -103.7 41.9, Casper -106.3 42.8, Helena -112.0 46.6, Provo -111.7 40.2, "
        "Pueblo -104.6 38.3, Roswell -104.5 33.4, Hobbs -103.1 32.7, Cedar City -113.1 37.7, Moab -109.5 38.6, "
        "Kalispell -114.3 48.2, Lamar -102.6 38.1, Silver City -108.3 32.8, Gallup -108.7 35.5, Logan -111.8 41.7, "
        "Dickinson -102.8 46.9, Miles City -105.8 46.4, Chadron -103.0 42.8"
    ),
    "America/Boise": "Idaho Falls -112.0 43.5, Twin Falls -114.5 42.6, Ontario -117.0 44.0, Salmon -113.9 45.2",
    "America/Phoenix": (
        "Tucson -110.9 32.2, Flagstaff -111.7 35.2, Yuma -114.6 32.7, Lake Havasu City -114.3 34.5, Kingman -114.1 35.2, "
        "Page -111.5 36.9, Sierra Vista -110.3 31.5, Prescott -112.5 34.5, Show Low -110.0 34.3, Nogales -110.9 31.3, "
        "Safford -109.7 32.8"
    ),
    "America/Los_Angeles": (
        "San Francisco -122.4 37.8, San Diego -117.2 32.7, Seattle -122.3 47.6, Portland -122.7 45.5, Las Vegas -115.1 36.2, "
        "Sacramento -121.5 38.6, Reno -119.8 39.5, Spokane -117.4 47.7, Fresno -119.8 36.7, Eugene -123.1 44.1, "
        "Lewiston -117.0 46.4, Coeur d'Alene -116.8 47.7, El Centro -115.6 32.8, Medford -122.9 42.3, Bakersfield -119.0 35.4, "
        "Elko -115.8 40.8, Needles -114.6 34.8, Mesquite -114.1 36.8, Pendleton -118.8 45.7, Bend -121.3 44.1, "
        "Kennewick -119.1 46.2, Blythe -114.6 33.6, Laughlin -114.6 35.2, Ely -114.9 39.2, Sandpoint -116.6 48.3, "
        "Burns -119.1 43.6, Winnemucca -117.7 41.0"
    ),
    "America/Anchorage": "Fairbanks -147.7 64.8, Kodiak -152.4 57.8, Bethel -161.8 60.8",
    "Pacific/Honolulu": "Hilo -155.1 19.7, Lihue -159.4 22.0",
    "America/Toronto": (
        "Montreal -73.6 45.5, Ottawa -75.7 45.4, Quebec City -71.2 46.8, Thunder Bay -89.2 48.4, Windsor -83.0 42.3, "
        "London -81.2 43.0, Sudbury -81.0 46.5, Sherbrooke -71.9 45.4, Rimouski -68.5 48.5, Saguenay -71.1 48.4, "
        "Sept-Îles -66.4 50.2, Kapuskasing -82.4 49.4, Val-d'Or -77.8 48.1, Gaspé -64.5 48.8, Chibougamau -74.4 49.9, "
        "Moosonee -80.6 51.3, Timmins -81.3 48.5, Kuujjuaq -68.4 58.1, Marathon -86.4 48.7, Nakina -86.7 50.2, "
        "Chisasibi -78.9 53.8, Inukjuak -78.1 58.5, Schefferville -66.8 54.8, Fort Albany -81.7 52.2, Peawanuck -85.4 55.0"
    ),
    "America/Winnipeg": (
        "Brandon -99.9 49.8, Kenora -94.5 49.8, Thompson -97.9 55.7, Dryden -92.8 49.8, Flin Flon -101.9 54.8, "
        "Churchill -94.2 58.8, Sioux Lookout -91.9 50.1, The Pas -101.2 53.8, Red Lake -93.8 51.0, Island Lake -94.7 53.9, "
        "Fort Frances -93.4 48.7, Big Trout Lake -89.9 53.8"
    ),
    "America/Regina": (
        "Saskatoon -106.7 52.1, Prince Albert -105.8 53.2, Yorkton -102.5 51.2, La Ronge -105.3 55.1, Meadow Lake -108.4 54.1, "
        "Stony Rapids -105.8 59.3, Estevan -103.0 49.1, Kindersley -109.2 51.5, Buffalo Narrows -108.5 55.9"
    ),
    "America/Edmonton": (
        "Calgary -114.1 51.0, Medicine Hat -110.7 50.0, Fort McMurray -111.4 56.7, Lethbridge -112.8 49.7, "
        "Grande Prairie -118.8 55.2, Cranbrook -115.8 49.5, Banff -115.6 51.2, Yellowknife -114.4 62.4, Jasper -118.1 52.9, "
        "High Level -117.1 58.5, Fort Smith -112.0 60.0, Lloydminster -110.0 53.3, Hay River -115.8 60.8, Golden -117.0 51.3, "
        "Cold Lake -110.2 54.5, Peace River -117.3 56.2, Wabasca -113.8 56.0, Fort Chipewyan -111.1 58.7"
    ),
    "America/Vancouver": (
        "Victoria -123.4 48.4, Kelowna -119.5 49.9, Prince George -122.7 53.9, Kamloops -120.3 50.7, Prince Rupert -130.3 54.3, "
        "Revelstoke -118.2 51.0, Nelson -117.3 49.5, Smithers -127.2 54.8, Valemount -119.3 52.8, Williams Lake -122.1 52.1, "
        "Dease Lake -130.0 58.4, Bella Coola -126.8 52.4"
    ),
    "America/Dawson_Creek": "Fort St. John -120.8 56.2",
    "America/Whitehorse": "Watson Lake -128.7 60.1, Haines Junction -137.5 60.8",
    "America/Halifax": "Charlottetown -63.1 46.2, Sydney -60.2 46.1, Yarmouth -66.1 43.8, Port Hawkesbury -61.4 45.6",
    "America/Moncton": (
        "Saint John -66.1 45.3, Fredericton -66.6 46.0, Edmundston -68.3 47.4, Bathurst -65.7 47.6, Campbellton -66.7 48.0"
    ),
    "America/St_Johns": "Corner Brook -57.9 48.9, Gander -54.6 49.0, Port aux Basques -59.1 47.6, Mary's Harbour -55.8 52.3",
    "America/Goose_Bay": "Labrador City -66.9 52.9, Nain -61.7 56.5, Churchill Falls -64.0 53.5",
    "America/Mexico_City": (
        "Guadalajara -103.3 20.7, Puebla -98.2 19.0, León -101.7 21.1, Acapulco -99.9 16.9, Oaxaca -96.7 17.1, "
        "Veracruz -96.1 19.2, Tuxtla Gutiérrez -93.1 16.8, Querétaro -100.4 20.6, San Luis Potosí -101.0 22.2, "
        "Tampico -97.9 22.3, Morelia -101.2 19.7, Villahermosa -92.9 18.0, Tapachula -92.3 14.9, Zacatecas -102.6 22.8, "
        "Puerto Vallarta -105.2 20.7, Colima -103.7 19.2, Aguascalientes -102.3 21.9, Manzanillo -104.3 19.1"
    ),
    "America/Monterrey": (
        "Saltillo -101.0 25.4, Torreón -103.4 25.5, Durango -104.7 24.0, Ciudad Victoria -99.1 23.7, Monclova -101.4 26.9"
    ),
    "America/Matamoros": "Reynosa -98.3 26.1, Nuevo Laredo -99.6 27.4, Ciudad Acuña -100.9 29.3",
    "America/Chihuahua": "Parral -105.7 26.9, Cuauhtémoc -106.9 28.4",
    "America/Hermosillo": (
        "Ciudad Obregón -109.9 27.5, San Luis Río Colorado -114.8 32.5, Agua Prieta -109.6 31.3, Puerto Peñasco -113.5 31.3, "
        "Caborca -112.2 30.7, Guaymas -110.9 27.9, Navojoa -109.4 27.1"
    ),
    "America/Mazatlan": (
        "Culiacán -107.4 24.8, La Paz -110.3 24.1, Los Mochis -109.0 25.8, Tepic -104.9 21.5, Cabo San Lucas -109.9 22.9, "
        "Loreto -111.3 26.0, Santa Rosalía -112.3 27.3"
    ),
    "America/Tijuana": "Mexicali -115.5 32.6, Ensenada -116.6 31.9, San Quintín -115.9 30.6, San Felipe -114.8 31.0",
    "America/Merida": "Campeche -90.5 19.8, Ciudad del Carmen -91.8 18.6, Valladolid -88.2 20.7, Escárcega -90.7 18.6",
    "America/Cancun": "Chetumal -88.3 18.5, Playa del Carmen -87.1 20.6, Felipe Carrillo Puerto -88.0 19.6",
    "America/Guatemala": "Quetzaltenango -91.5 14.8, Flores -89.9 16.9, Cobán -90.4 15.5",
    "America/Belize": "Belmopan -88.8 17.3, Corozal -88.4 18.4",
    "America/Tegucigalpa": "San Pedro Sula -88.0 15.5, La Ceiba -86.8 15.8, Puerto Lempira -83.8 15.3",
    "America/Managua": "Bluefields -83.8 12.0, Puerto Cabezas -83.4 14.0, León -86.9 12.4",
    "America/Costa_Rica": "Limón -83.0 10.0, Liberia -85.4 10.6, Golfito -83.2 8.6, Puntarenas -84.8 10.0, San Isidro -83.7 9.4",
    "America/Panama": "David -82.4 8.4, Colón -79.9 9.4, Bocas del Toro -82.2 9.3, La Palma -78.1 8.4",
    "America/Havana": (
        "Santiago de Cuba -75.8 20.0, Santa Clara -80.0 22.4, Holguín -76.3 20.9, Camagüey -77.9 21.4, Guantánamo -75.2 20.1, "
        "Pinar del Río -83.7 22.4, Baracoa -74.5 20.3"
    ),
    "America/Jamaica": "Montego Bay -77.9 18.5",
    "America/Port-au-Prince": "Cap-Haïtien -72.2 19.8, Les Cayes -73.8 18.2, Jérémie -74.1 18.6, Gonaïves -72.7 19.4",
    "America/Santo_Domingo": (
        "Santiago -70.7 19.5, Punta Cana -68.4 18.6, Barahona -71.1 18.2, Monte Cristi -71.7 19.9, Pedernales -71.7 18.0, "
        "San Juan -71.2 18.8, Mao -71.1 19.6"
    ),
    "America/Nassau": "Freeport -78.7 26.5, George Town -75.8 23.5, Matthew Town -73.7 20.9",
    # South America
    "America/Bogota": (
        "Medellín -75.6 6.2, Cali -76.5 3.4, Barranquilla -74.8 11.0, Cartagena -75.5 10.4, Bucaramanga -73.1 7.1, "
        "Cúcuta -72.5 7.9, Pasto -77.3 1.2, Puerto Nariño -70.4 -3.8, Santa Marta -74.2 11.2, Riohacha -72.9 11.5, "
        "Tame -71.7 6.5, Villavicencio -73.6 4.1, Puerto Carreño -67.5 6.2, Mitú -70.2 1.3, Inírida -67.9 3.9, "
        "Valledupar -73.3 10.5, Florencia -75.6 1.6, San José del Guaviare -72.6 2.6, Yopal -72.4 5.3, Maicao -72.2 11.4, "
        "Quibdó -76.7 5.7, La Pedrera -69.6 -1.3"
    ),
    "America/Caracas": (
        "Maracaibo -71.6 10.6, Valencia -68.0 10.2, Barquisimeto -69.3 10.1, Ciudad Guayana -62.7 8.3, San Cristóbal -72.2 7.8, "
        "Maturín -63.2 9.7, Puerto Ayacucho -67.6 5.7, Mérida -71.1 8.6, Santa Elena de Uairén -61.1 4.6, "
        "Ciudad Bolívar -63.5 8.1, Punto Fijo -70.2 11.7, San Fernando de Apure -67.5 7.9, Guasdualito -70.7 7.2, "
        "Barinas -70.2 8.6, La Esmeralda -65.5 3.2, Tucupita -62.1 9.1, Guanare -69.7 9.0"
    ),
    "America/Guyana": "Lethem -59.8 3.4, Bartica -58.6 6.4",
    "America/Paramaribo": "Nieuw Nickerie -57.0 5.9, Albina -54.1 5.5, Kwamalasamutu -56.8 2.4",
    "America/Cayenne": "Saint-Laurent-du-Maroni -54.0 5.5, Maripasoula -54.0 3.6, Saint-Georges -51.8 3.9",
    "America/Guayaquil": "Quito -78.5 -0.2, Cuenca -79.0 -2.9, Loja -79.2 -4.0, Nueva Loja -76.9 0.1",
    "America/Lima": (
        "Arequipa -71.5 -16.4, Trujillo -79.0 -8.1, Cusco -72.0 -13.5, Iquitos -73.2 -3.7, Tacna -70.2 -18.0, Puno -70.0 -15.8, "
        "Pucallpa -74.5 -8.4, Piura -80.6 -5.2, Puerto Maldonado -69.2 -12.6, Juliaca -70.1 -15.5, Chiclayo -79.8 -6.8, "
        "Caballococha -70.5 -3.9, Huancayo -75.2 -12.1"
    ),
    "America/La_Paz": (
        "Santa Cruz -63.2 -17.8, Cochabamba -66.2 -17.4, Oruro -67.1 -18.0, Tarija -64.7 -21.5, Trinidad -64.9 -14.8, "
        "Cobija -68.8 -11.0, Potosí -65.8 -19.6, Puerto Suárez -57.8 -19.0, Villamontes -63.5 -21.3, Tupiza -65.7 -21.4, "
        "Riberalta -66.1 -11.0, San Ignacio -61.0 -16.4, Uyuni -66.8 -20.5, Yacuiba -63.7 -22.0, Camiri -63.5 -20.0, "
        "Roboré -59.8 -18.3"
    ),
    "America/Santiago": (
        "Concepción -73.1 -36.8, Antofagasta -70.4 -23.7, Iquique -70.1 -20.2, Arica -70.3 -18.5, La Serena -71.3 -29.9, "
        "Temuco -72.6 -38.7, Puerto Montt -72.9 -41.5, Calama -68.9 -22.5, Copiapó -70.3 -27.4, Valdivia -73.2 -39.8, "
        "San Pedro de Atacama -68.2 -22.9, Talca -71.7 -35.4, Chillán -72.1 -36.6, Castro -73.8 -42.5, Los Ángeles -72.4 -37.5, "
        "Osorno -73.1 -40.6"
    ),
    "America/Punta_Arenas": "Puerto Natales -72.5 -51.7, Puerto Williams -67.6 -54.9",
    "America/Asuncion": (
        "Ciudad del Este -54.7 -25.5, Encarnación -55.9 -27.3, Concepción -57.4 -23.4, Pedro Juan Caballero -55.7 -22.6, "
        "Filadelfia -60.0 -22.4, Curuguaty -55.7 -24.5, Pilar -58.3 -26.9, Mariscal Estigarribia -60.6 -22.0, "
        "Fuerte Olimpo -57.9 -21.0, Coronel Oviedo -56.4 -25.4"
    ),
    "America/Argentina/Buenos_Aires": (
        "La Plata -57.9 -34.9, Rosario -60.6 -32.9, Mar del Plata -57.6 -38.0, Bahía Blanca -62.3 -38.7"
    ),
    "America/Argentina/Cordoba": (
        "Posadas -55.9 -27.4, Resistencia -59.0 -27.5, Santa Fe -60.7 -31.6, Corrientes -58.8 -27.5, Formosa -58.2 -26.2, "
        "Puerto Iguazú -54.5 -25.7, Santiago del Estero -64.3 -27.8, Concordia -58.0 -31.4, Paraná -60.5 -31.7, "
        "Gualeguaychú -58.5 -33.0, Paso de los Libres -57.1 -29.7, Las Lomitas -60.6 -24.7, Roque Sáenz Peña -60.4 -26.8, "
        "Eldorado -54.6 -26.4, Goya -59.3 -29.1, Reconquista -59.6 -29.1, Concepción del Uruguay -58.2 -32.5, Oberá -55.1 -27.5, "
        "Santo Tomé -56.1 -28.5"
    ),
    "America/Argentina/Salta": (
        "Neuquén -68.1 -38.9, Bariloche -71.3 -41.1, Santa Rosa -64.3 -36.6, Viedma -63.0 -40.8, Tartagal -63.8 -22.5, "
        "San Martín de los Andes -71.4 -40.2, Zapala -70.1 -38.9, Orán -64.3 -23.1, San Antonio Oeste -64.9 -40.7"
    ),
    "America/Argentina/Jujuy": "La Quiaca -65.6 -22.1",
    "America/Argentina/Mendoza": "San Rafael -68.3 -34.6, Malargüe -69.6 -35.5",
    "America/Argentina/Catamarca": "Comodoro Rivadavia -67.5 -45.9, Trelew -65.3 -43.3, Esquel -71.3 -42.9, Rawson -65.1 -43.3",
    "America/Argentina/Rio_Gallegos": (
        "Río Turbio -72.3 -51.5, El Calafate -72.3 -50.3, Caleta Olivia -67.5 -46.4, Perito Moreno -70.9 -46.6, "
        "Puerto Deseado -65.9 -47.8, Gobernador Gregores -70.2 -48.8"
    ),
    "America/Montevideo": (
        "Salto -57.9 -31.4, Rivera -55.6 -31.0, Colonia -57.8 -34.5, Paysandú -58.1 -32.3, Punta del Este -55.0 -34.9, "
        "Artigas -56.5 -30.4, Melo -54.2 -32.4, Chuy -53.5 -33.7, Mercedes -58.0 -33.3, Tacuarembó -56.0 -31.7, "
        "Treinta y Tres -54.4 -33.2"
    ),
    "America/Sao_Paulo": (
        "Rio de Janeiro -43.2 -22.9, Brasília -47.9 -15.8, Belo Horizonte -43.9 -19.9, Porto Alegre -51.2 -30.0, "
        "Curitiba -49.3 -25.4, Goiânia -49.3 -16.7, Florianópolis -48.5 -27.6, Vitória -40.3 -20.3, Londrina -51.2 -23.3, "
        "Ribeirão Preto -47.8 -21.2, Uberlândia -48.3 -18.9, Foz do Iguaçu -54.6 -25.5, Uruguaiana -57.1 -29.8, "
        "Chapecó -52.6 -27.1, Pelotas -52.3 -31.8, Santa Maria -53.8 -29.7, Presidente Prudente -51.4 -22.1, "
        "Montes Claros -43.9 -16.7, Rio Verde -50.9 -17.8, Cascavel -53.5 -25.0, Santana do Livramento -55.5 -30.9, "
        "São Borja -56.0 -28.7, Santa Rosa -54.5 -27.9, São José do Rio Preto -49.4 -20.8, Porangatu -49.1 -13.4, "
        "Teófilo Otoni -41.5 -17.9, Umuarama -53.3 -23.8, Bagé -54.1 -31.3, Formosa -47.3 -15.5, "
        "São Miguel do Araguaia -50.2 -13.3, Aragarças -52.2 -15.9, Januária -44.4 -15.5, Passo Fundo -52.4 -28.3, "
        "Almenara -40.7 -16.2, Linhares -40.1 -19.4, Posse -46.4 -14.1, Jataí -51.7 -17.9, Santa Fé do Sul -50.9 -20.2, "
        "Guaíra -54.3 -24.1, Erechim -52.3 -27.6, Alegrete -55.8 -29.8, Arroio Grande -53.1 -32.2, "
        "Santa Vitória do Palmar -53.4 -33.5, São Mateus -39.9 -18.7"
    ),
    "America/Bahia": (
        "Vitória da Conquista -40.8 -14.9, Barreiras -45.0 -12.2, Ilhéus -39.0 -14.8, Porto Seguro -39.1 -16.4, "
        "Senhor do Bonfim -40.2 -10.5, Teixeira de Freitas -39.7 -17.5, Jeremoabo -38.3 -10.1, Guanambi -42.8 -14.2, "
        "Irecê -41.9 -11.3, Bom Jesus da Lapa -43.4 -13.3, Luís Eduardo Magalhães -45.8 -12.1, Formosa do Rio Preto -45.2 -11.1, "
        "Cocos -44.5 -14.2, Remanso -42.1 -9.6"
    ),
    "America/Recife": "Petrolina -40.5 -9.4, Caruaru -36.0 -8.3, Serra Talhada -38.3 -8.0",
    "America/Fortaleza": (
        "Natal -35.2 -5.8, São Luís -44.3 -2.5, Teresina -42.8 -5.1, João Pessoa -34.9 -7.1, Imperatriz -47.5 -5.5, "
        "Juazeiro do Norte -39.3 -7.2, Balsas -46.0 -7.5, Picos -41.5 -7.1, Floriano -43.0 -6.8, Corrente -45.2 -10.4, "
        "Bom Jesus -44.4 -9.1, Uruçuí -44.6 -7.2"
    ),
    "America/Maceio": "Aracaju -37.1 -10.9, Arapiraca -36.7 -9.8",
    "America/Belem": (
        "Marabá -49.1 -5.4, Macapá -51.1 0.0, Redenção -50.0 -8.0, Tucuruí -49.7 -3.8, Oiapoque -51.8 3.8, "
        "Paragominas -47.4 -3.0, São Félix do Xingu -52.0 -6.6, Conceição do Araguaia -49.3 -8.3"
    ),
    "America/Santarem": "Itaituba -56.0 -4.3, Altamira -52.2 -3.2, Óbidos -55.5 -1.9, Novo Progresso -55.4 -7.0",
    "America/Araguaina": "Palmas -48.3 -10.2, Gurupi -49.1 -11.7, Dianópolis -46.8 -11.6, Arraias -46.9 -12.9",
    "America/Cuiaba": (
        "Rondonópolis -54.6 -16.5, Sinop -55.5 -11.9, Barra do Garças -52.3 -15.9, Cáceres -57.7 -16.1, "
        "Alta Floresta -56.1 -9.9, Juína -58.7 -11.4, Confresa -51.6 -10.6, São Félix do Araguaia -50.7 -11.6, "
        "Canarana -52.3 -13.6, Vila Bela -60.0 -15.0, Colniza -59.0 -9.4, Alto Garças -53.5 -16.9, "
        "Primavera do Leste -54.3 -15.6"
    ),
    "America/Campo_Grande": (
        "Dourados -54.8 -22.2, Três Lagoas -51.7 -20.8, Corumbá -57.6 -19.1, Ponta Porã -55.7 -22.5, Jardim -56.1 -21.5, "
        "Coxim -54.8 -18.5, Paranaíba -51.2 -19.7, Chapadão do Sul -52.6 -18.8, Naviraí -54.2 -23.1, Bataguassu -52.4 -21.7"
    ),
    "America/Porto_Velho": "Ji-Paraná -61.9 -10.9, Vilhena -60.1 -12.7, Guajará-Mirim -65.3 -10.8, Costa Marques -64.2 -12.4",
    "America/Manaus": (
        "Parintins -56.7 -2.6, Coari -63.1 -4.1, Humaitá -63.0 -7.5, São Gabriel da Cachoeira -67.1 -0.1, Tefé -64.7 -3.4, "
        "Lábrea -64.8 -7.3, Apuí -59.9 -7.2, Fonte Boa -66.1 -2.5, Manicoré -61.3 -5.8, Barcelos -62.9 -1.0, Tapauá -63.2 -5.6, "
        "Carauari -66.9 -4.9"
    ),
    "America/Eirunepe": "Benjamin Constant -70.0 -4.4, Envira -70.0 -7.4, Ipixuna -71.7 -7.0",
    "America/Rio_Branco": "Cruzeiro do Sul -72.7 -7.6, Brasiléia -68.7 -11.0, Tarauacá -70.8 -8.2",
    "America/Boa_Vista": "Pacaraima -61.1 4.5, Caracaraí -61.1 1.8, Rorainópolis -60.4 0.9",
    # Oceania
    "Australia/Sydney": (
        "Canberra 149.1 -35.3, Newcastle 151.8 -32.9, Byron Bay 153.6 -28.6, Tweed Heads 153.5 -28.2, Lismore 153.3 -28.8, "
        "Wagga Wagga 147.4 -35.1, Albury 146.9 -36.1, Dubbo 148.6 -32.2, Tamworth 150.9 -31.1, Coffs Harbour 153.1 -30.3, "
        "Bourke 145.9 -30.1, Moree 149.8 -29.5, Griffith 146.0 -34.3, Grafton 152.9 -29.7, Wollongong 150.9 -34.4, "
        "Wentworth 141.9 -34.1, Armidale 151.7 -30.5, Tenterfield 152.0 -29.1, Casino 153.1 -28.9, Lightning Ridge 148.0 -29.4, "
        "Cobar 145.8 -31.5, Balranald 143.6 -34.6, Tibooburra 142.0 -29.4, Wilcannia 143.4 -31.6, Brewarrina 146.9 -30.0, "
        "Hay 144.8 -34.5, Ivanhoe 144.3 -32.9, Glen Innes 151.7 -29.7"
    ),
    "Australia/Melbourne": (
        "Mildura 142.2 -34.2, Geelong 144.4 -38.1, Bendigo 144.3 -36.8, Ballarat 143.9 -37.6, Warrnambool 142.5 -38.4, "
        "Horsham 142.2 -36.7, Shepparton 145.4 -36.4, Portland 141.6 -38.3, Swan Hill 143.6 -35.3, Ouyen 142.3 -35.1, "
        "Kaniva 141.2 -36.4, Casterton 141.4 -37.6"
    ),
    "Australia/Brisbane": (
        "Gold Coast 153.4 -28.0, Townsville 146.8 -19.3, Cairns 145.8 -16.9, Rockhampton 150.5 -23.4, Toowoomba 151.9 -27.6, "
        "Mount Isa 139.5 -20.7, Mackay 149.2 -21.1, Roma 148.8 -26.6, Longreach 144.3 -23.4, Goondiwindi 150.3 -28.5, "
        "Stanthorpe 151.9 -28.7, Cunnamulla 145.7 -28.1, Birdsville 139.4 -25.9, Weipa 141.9 -12.6, Warwick 152.0 -28.2, "
        "St George 148.6 -28.0, Normanton 141.1 -17.7, Charleville 146.2 -26.4, Winton 143.0 -22.4, Boulia 139.9 -22.9, "
        "Thargomindah 143.8 -28.0, Dirranbandi 148.2 -28.6, Windorah 142.7 -25.4, Cooktown 145.3 -15.5"
    ),
    "Australia/Adelaide": (
        "Mount Gambier 140.8 -37.8, Port Augusta 137.8 -32.5, Renmark 140.7 -34.2, Whyalla 137.6 -33.0, "
        "Port Lincoln 135.9 -34.7, Ceduna 133.7 -32.1, Coober Pedy 134.8 -29.0, Bordertown 140.8 -36.3, Marree 138.1 -29.6, "
        "Naracoorte 140.7 -37.0, Moomba 140.2 -28.1, Oodnadatta 135.4 -27.5, Yalata 131.8 -31.5"
    ),
    "Australia/Darwin": (
        "Alice Springs 133.9 -23.7, Katherine 132.3 -14.5, Tennant Creek 134.2 -19.6, Nhulunbuy 136.8 -12.2, Yulara 131.0 -25.2, "
        "Borroloola 136.3 -16.1, Kulgera 133.3 -25.8, Timber Creek 130.5 -15.7"
    ),
    "Australia/Perth": (
        "Kalgoorlie 121.5 -30.7, Broome 122.2 -18.0, Geraldton 114.6 -28.8, Albany 117.9 -35.0, Port Hedland 118.6 -20.3, "
        "Kununurra 128.7 -15.8, Esperance 121.9 -33.9, Newman 119.7 -23.4, Carnarvon 113.7 -24.9, Warburton 126.6 -26.1, "
        "Halls Creek 127.7 -18.2, Balgo 127.8 -20.1, Wiluna 120.2 -26.6, Telfer 122.2 -21.7, Norseman 121.8 -32.2, "
        "Laverton 122.4 -28.6"
    ),
    "Australia/Hobart": "Launceston 147.1 -41.4",
    "Pacific/Auckland": (
        "Wellington 174.8 -41.3, Christchurch 172.6 -43.5, Dunedin 170.5 -45.9, Queenstown 168.7 -45.0, Hamilton 175.3 -37.8, "
        "Nelson 173.3 -41.3"
    ),
    "Pacific/Port_Moresby": (
        "Lae 147.0 -6.7, Mount Hagen 144.2 -5.9, Rabaul 152.2 -4.2, Daru 143.2 -9.1, Vanimo 141.3 -2.7, Kiunga 141.3 -6.1, "
        "Madang 145.8 -5.2, Alotau 150.5 -10.3, Kavieng 150.8 -2.6, Manus 147.3 -2.0"
    ),
    "Pacific/Fiji": "Nadi 177.4 -17.8, Labasa 179.4 -16.4, Taveuni -180.0 -16.8",
}
"""Zone to `name longitude latitude, …`, degrees WGS84 to about ten kilometres."""
